//! What crosses the pipe between this program and its worker, in both directions.

use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::host::kuma::worker::{Reply, Request, read_frame, serve};
use kuma_replicator::model::dump;
use proptest::prelude::*;
use serde::Serialize;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::mutation::mutated;
use crate::support::instance::{Instance, Order, Version};

pub(crate) const PROPERTIES: &[Property] = &[
    ("a_broken_reply_is_refused_or_means_what_it_says", replies),
    ("a_broken_request_is_refused_or_answered", requests),
];

fn frame(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).unwrap();
    let lengths = [&(head.len() as u32).to_le_bytes()[..], &(body.len() as u64).to_le_bytes()].concat();
    [lengths.as_slice(), &head, body].concat()
}

fn replies(budget: Budget) {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let export = Database::new(instance.path()).export().unwrap();
    let body = dump::body(&export.configuration);
    let reply =
        Reply::Export { schema: Box::new(export.schema), warnings: vec!["one".to_owned()], source: export.source };
    budget.check(200, &mutated(frame(&reply, &body)), |bytes| {
        let (read, most) = peak(|| read_frame::<Reply>(&mut &bytes[..]).map(|frame| frame.map(|(_, body)| body)));
        prop_assert!(most < 16 * bytes.len() + (64 << 10), "{} bytes of memory for {}", most, bytes.len());
        let Ok(Some(body)) = read else { return Ok(()) };
        // What is accepted is one configuration, in one form.
        let (parsed, most) = peak(|| dump::parse_body(&body));
        prop_assert!(most < 64 * body.len() + (64 << 10), "{} bytes of memory for {}", most, body.len());
        if let Ok(configuration) = parsed {
            prop_assert_eq!(dump::body(&configuration), body);
        }
        Ok(())
    });
}

fn requests(budget: Budget) {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let configuration = Database::new(instance.path()).export().unwrap().configuration;
    let body = dump::body(&configuration);
    let rehearsal = Request::Rehearse { here: body.len() as u64 };
    let path = instance.path().as_os_str().as_encoded_bytes().to_vec();
    let session = [
        frame(&Request::Open { path }, b""),
        frame(&Request::Migrating, b""),
        frame(&rehearsal, &[body.as_slice(), &body].concat()),
        frame(&Request::UnknownTables, b""),
    ]
    .concat();
    budget.check(100, &mutated(session), |bytes| {
        let mut output = Vec::new();
        let served = serve(&mut &bytes[..], &mut output);
        let mut output = output.as_slice();
        let mut answers = 0;
        while let Some((reply, _)) = read_frame::<Reply>(&mut output).unwrap() {
            answers += 1;
            prop_assert_eq!(matches!(reply, Reply::Ready { .. }), answers == 1);
        }
        prop_assert!(answers <= 5 && (served.is_err() || answers > 1), "{} answers, {:?}", answers, served);
        Ok(())
    });
    // Nothing in it was a write.
    assert_eq!(Database::new(instance.path()).export().unwrap().configuration, configuration);
}
