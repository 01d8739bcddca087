//! What was measured, and how it is printed: the agent and the scripts side by side.

/// Which of the two is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Agent,
    Scripts,
}

/// In this order in every round.
pub(crate) const SIDES: [Side; 2] = [Side::Agent, Side::Scripts];

/// One run of one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Seconds from the start of the first process to the end of the last.
    pub(crate) wall: f64,
    /// Seconds of processor time, user and system, of all its processes; `None` where others do the work.
    pub(crate) cpu: Option<f64>,
}

/// An operation with its rounds: the runs at equal places in both lists belong together.
pub(crate) struct Operation {
    name: &'static str,
    agent: Vec<Run>,
    scripts: Vec<Run>,
}

impl Operation {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, agent: Vec::new(), scripts: Vec::new() }
    }

    pub(crate) fn add(&mut self, side: Side, run: Run) {
        match side {
            Side::Agent => self.agent.push(run),
            Side::Scripts => self.scripts.push(run),
        }
    }

    fn half(&self, of: impl Fn(&Run) -> Option<f64>) -> String {
        let (Some(agent), Some(scripts)) = (all(&self.agent, &of), all(&self.scripts, &of)) else {
            return String::new();
        };
        let ratios = agent.iter().zip(&scripts).map(|(agent, scripts)| agent / scripts).collect();
        format!(" {:>19} {:>19} {:>6.2} ", spread(&agent), spread(&scripts), median(ratios))
    }
}

/// Prints the heading of the table.
pub(crate) fn print_heading() {
    println!("{:28}|{:^47}|{:^47}", "", "wall time, ms", "processor time, ms");
    let side = format!(" {:>19} {:>19} {:>6} ", "kuma-replicator", "scripts", "ratio");
    println!("{:>8}  {:18}|{side}|{side}", "monitors", "");
}

/// Prints the lines of the table for one number of monitors.
pub(crate) fn print(monitors: usize, operations: &[Operation]) {
    for operation in operations {
        let (wall, cpu) = (operation.half(|run| Some(run.wall)), operation.half(|run| run.cpu));
        println!("{monitors:>8}  {:18}|{wall}|{cpu}", operation.name);
    }
}

fn all(runs: &[Run], of: impl Fn(&Run) -> Option<f64>) -> Option<Vec<f64>> {
    runs.iter().map(of).collect()
}

/// The median with the extremes, from seconds to milliseconds.
fn spread(seconds: &[f64]) -> String {
    let (least, most) = seconds.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), s| (a.min(*s), b.max(*s)));
    format!("{:.0} ({:.0}–{:.0})", median(seconds.to_vec()) * 1000.0, least * 1000.0, most * 1000.0)
}

/// The median, or the mean of the two values that share its place.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => at(odd / 2),
        even => f64::midpoint(at(even / 2 - 1), at(even / 2)),
    }
}

/// The value that so many of a hundred do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
