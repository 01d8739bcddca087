//! Promise: a replica gets what it customization for, and nothing else. What is wanted can be written into a real database
//! and is there then; wanted once more, nothing is to do; what is excluded or kept is never written; nothing leads
//! nowhere; and somebody can log in.

mod examples;
mod known;
mod properties;
