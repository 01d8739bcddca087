//! Names without restic: the same as restic lists, or none.

use std::fs;
use std::io::Write as _;
use std::thread;

use jiff::Timestamp;
use kuma_replicator::cycle::Repository as _;
use kuma_replicator::host::system::interrupt::Interrupt;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::looked::{KeptListing, Names};
use kuma_replicator::model::snapshot::SnapshotId;
use libtest_mimic::Completion;

use crate::Outcome;
use crate::parts::{Host, Program, Repository, dump, run, tags};
use crate::servers::{self, Answering, Server};
use crate::testbed::{Fault, Proxy};

/// How many things happen to a repository.
const STEPS: usize = 14;

/// Puts objects into a bucket: server, bucket, prefix, first and last number of those whose names are ids.
const PUT: &str = r#"
import boto3, hashlib, sys
server, bucket, prefix, first, last = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
s3 = boto3.client("s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
for number in range(first, last):
    s3.put_object(Bucket=bucket, Key=prefix + hashlib.sha256(str(number).encode()).hexdigest(), Body=b"x")
s3.put_object(Bucket=bucket, Key=prefix + "no id", Body=b"x")
s3.put_object(Bucket=bucket, Key=prefix, Body=b"")
"#;

/// Makes a certificate authority, and a certificate of it for 127.0.0.1 with its key: directory, last day of validity.
const CERTIFY: &str = r#"
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
directory, end = sys.argv[1], int(sys.argv[2])
day = lambda number: datetime.datetime.utcnow() + datetime.timedelta(days=number)
named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
def certificate(name, key, is_ca):
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (x509.CertificateBuilder().subject_name(named(name)).issuer_name(named("authority")).public_key(key.public_key())
        .serial_number(1 if is_ca else 2).not_valid_before(day(-9)).not_valid_after(day(9 if is_ca else end))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True).sign(keys[0], hashes.SHA256()))
pem = serialization.Encoding.PEM
open(f"{directory}/authority", "wb").write(certificate("authority", keys[0], True).public_bytes(pem))
open(f"{directory}/certificate", "wb").write(certificate("server", keys[1], False).public_bytes(pem))
open(f"{directory}/key", "wb").write(keys[1].private_bytes(
    pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
"#;

/// What restic lists now, and whether the names alone say the same.
fn both_looks_agree(host: &Host, kept: &mut Option<KeptListing>) {
    let restic = host.restic();
    let looked = run(restic.look_at_all()).expect("a look");
    let names = run(restic.names()).expect("names");
    assert_eq!(names, looked.names, "restic lists others");
    let (address, now) = (Digest::of(b"here"), Timestamp::now());
    // What was kept before is this listing, or is not used.
    if let Some(found) = kept.take().and_then(|kept| kept.found_with(names.clone())) {
        assert_eq!(found, looked);
    }
    *kept = KeptListing::new(&looked, address, now);
    assert_eq!(kept.is_some(), names != Names::default());
    if let Some(kept) = kept {
        assert_eq!(kept.clone().found_with(names).as_ref(), Some(&looked));
    }
}

/// A random number below `bound`, from what the system has.
fn random(bound: usize) -> usize {
    let mut bytes = [0; 4];
    let mut source = fs::File::open("/dev/urandom").expect("random numbers");
    std::io::Read::read_exact(&mut source, &mut bytes).expect("random numbers");
    u32::from_le_bytes(bytes) as usize % bound
}

/// Lets this and that happen to a repository. `litter` puts a file with a name that is no id among its snapshots.
fn histories(program: &Program, repository: &Repository, litter: impl Fn(&str)) {
    let host = program.host(repository);
    if run(host.restic().look()).is_err() {
        run(host.restic().init()).expect("created");
    }
    let (mut kept, mut history, mut sequence) = (None, String::new(), 10);
    for number in 0..STEPS {
        let listing = run(host.restic().look()).expect("a look");
        let step = random(6);
        history.push_str(&format!(" {step}"));
        println!("steps so far:{history}");
        match step {
            0 | 1 => {
                sequence += 1;
                let text = dump(100 + random(1000));
                run(host.restic().publish(&text, &tags(sequence, &text), "main")).expect("published");
            }
            2 => host.feed("restic", &["backup", "--stdin", "--stdin-filename=/other", "--tag=other"], "other"),
            3 if !listing.snapshots.is_empty() => {
                let id = &listing.snapshots[random(listing.snapshots.len())].id;
                let prune: &[&str] = if random(2) == 0 { &["--prune"] } else { &[] };
                host.tool("restic", &[&["forget", &id.to_string()], prune].concat());
            }
            3 => {}
            4 => litter(&format!("{}-tmp-{number}", "ab".repeat(32))),
            // Each name once: the S3 server lets nobody overwrite an object without a signature.
            _ => litter(&format!("{}{number}", ["README", ".nfs", "abcd"][random(3)])),
        }
        both_looks_agree(&host, &mut kept);
    }
}

pub(crate) fn names_in_a_folder_are_those_that_restic_lists(program: &Program) -> Outcome {
    let repository = program.template();
    let snapshots = repository.path().join("snapshots");
    histories(program, &repository, |name| fs::write(snapshots.join(name), "half").expect("a file"));
    // What restic would read in another way, or not at all.
    let host = program.host(&repository);
    assert!(run(host.restic().names()).is_some());
    let odd = snapshots.join("ab".repeat(32));
    std::os::unix::fs::symlink("/etc/passwd", &odd)?;
    assert_eq!(run(host.restic().names()), None);
    fs::remove_file(&odd)?;
    let capitals = snapshots.join("AB".repeat(32));
    fs::write(&capitals, "")?;
    assert_eq!(run(host.restic().names()), None);
    fs::remove_file(&capitals)?;
    fs::remove_dir_all(&snapshots)?;
    assert_eq!(run(host.restic().names()), None);
    Ok(Completion::Completed)
}

pub(crate) fn names_at_a_rest_server_are_those_that_restic_lists(program: &Program) -> Outcome {
    let server = Server::rest()?;
    let snapshots = server.data().join("data/path/snapshots");
    histories(program, &Repository::at(&server.url), |name| fs::write(snapshots.join(name), "half").expect("a file"));
    let wrong = server.url.replace("right-secret", "wrong-secret");
    assert_eq!(run(program.host(&Repository::at(&wrong)).restic().names()), None);
    Ok(Completion::Completed)
}

pub(crate) fn names_at_an_s3_server_are_those_that_restic_lists(program: &Program) -> Outcome {
    let server = Server::s3()?;
    let put = |name: &str| {
        let url = format!("http://{}/a-bucket/path/snapshots/{name}", server.address());
        let sent = std::process::Command::new("curl").args(["-sSf", "-X", "PUT", "-d", "half", &url]).output();
        assert!(sent.expect("curl").status.success());
    };
    histories(program, &Repository::at(&server.url), put);

    // Many pages.
    let host = program.host(&Repository::at(&server.url));
    let python = servers::python()?;
    let url = format!("http://{}", server.address());
    let arguments = ["-c", PUT, &url, "a-bucket", "many/snapshots/", "0", "1005"];
    host.tool(python.to_str().expect("a path"), &arguments);
    let proxy = Proxy::start(&server.address()).expect("a proxy");
    let many = format!("s3:http://{}/a-bucket/many", proxy.address);
    let ids = (0..1005).map(|number: i32| Digest::of(number.to_string().as_bytes()).hex());
    let ids: Names = ids.map(|id| id.parse::<SnapshotId>().expect("an id")).collect();
    assert_eq!(run(program.host(&Repository::at(&many)).restic().names()), Some(ids));
    assert_eq!(proxy.requests(), 2, "a request for each thousand");
    for fault in [Fault::Deny, Fault::Skew, Fault::FailAfter(1)] {
        proxy.set(fault);
        assert_eq!(run(program.host(&Repository::at(&many)).restic().names()), None, "{fault:?}");
    }
    Ok(Completion::Completed)
}

/// One request, and no restic; a publish is one restic.
pub(crate) fn an_unchanged_look_is_one_request(program: &Program) -> Outcome {
    for server in [Server::s3()?, Server::rest()?] {
        let direct = program.host(&Repository::at(&server.url));
        run(direct.restic().init()).expect("created");
        let proxy = Proxy::start(&server.address()).expect("a proxy");
        let at = Repository::at(&server.url.replace(&server.address(), &proxy.address));
        let (main, replica) = (program.host(&at), program.host(&at));
        let [mut main, mut replica] = [&main, &replica].map(|host| host.system(Interrupt::never()));
        let requests = |work: &mut dyn FnMut()| {
            let before = proxy.requests();
            work();
            proxy.requests() - before
        };
        // An empty repository is not trusted.
        for _ in 0..2 {
            assert!(requests(&mut || assert!(run(main.look_by_name()).expect("a look").snapshots.is_empty())) > 1);
        }
        let publish = |main: &mut kuma_replicator::host::System, sequence| {
            let text = dump(1000);
            run(main.publish(&text, &tags(sequence, &text))).expect("published")
        };
        publish(&mut main, 1);
        for sequence in 2..4 {
            // The publish has been kept: its own snapshot is known.
            let looking = requests(&mut || drop(run(main.look_by_name()).expect("a look")));
            assert_eq!(looking, 1);
            let listing = run(main.look_by_name()).expect("a look");
            assert_eq!(listing.newest()[0].tags.place.sequence, sequence - 1);
            let before = proxy.requests();
            let id = publish(&mut main, sequence);
            println!("{}: {looking} + {} requests for a publish", server.url, proxy.requests() - before);

            let first = requests(&mut || drop(run(replica.look_by_name()).expect("a look")));
            assert!(first > 1, "the new snapshot is read");
            let listing = run(replica.look_by_name()).expect("a look");
            assert!(listing.newest()[0].id.same(&id));
            assert_eq!(requests(&mut || assert_eq!(run(replica.look_by_name()).expect("a look"), listing)), 1);
            assert!(requests(&mut || assert_eq!(run(replica.look()).expect("a look"), listing)) > 1, "restic looks");
        }
        // Another main publishes between a look and a publish: restic looks, and finds it.
        drop(run(main.look_by_name()).expect("a look"));
        let text = dump(500);
        run(direct.restic().publish(&text, &tags(99, &text), "other")).expect("published");
        publish(&mut main, 4);
        let mut newest = 0;
        let looking = requests(&mut || {
            newest = run(main.look_by_name()).expect("a look").newest()[0].tags.place.sequence;
        });
        assert!(newest == 99 && looking > 1, "{newest} after {looking} requests");
        // The server fails: restic looks, and says so.
        proxy.set(Fault::Deny);
        replica_fails(&mut replica);
        proxy.set(Fault::None);
        assert_eq!(run(replica.look_by_name()).expect("a look").newest()[0].tags.place.sequence, 99);
    }
    Ok(Completion::Completed)
}

fn replica_fails(replica: &mut kuma_replicator::host::System) {
    let error = run(replica.look_by_name()).expect_err("a denied look");
    assert_eq!(error.kind(), kuma_replicator::error::Kind::RepositoryDenied);
}

/// Whatever a server answers that is no listing is left to restic.
pub(crate) fn a_server_that_lies_is_left_to_restic(program: &Program) -> Outcome {
    let id = "ab".repeat(32);
    let http = |status: &str, kind: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    };
    let v2 = "application/vnd.x.restic.rest.v2";
    let list = format!(r#"[{{"name":"{id}","size":1}}]"#);
    let start = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>x/snapshots/";
    let page = format!("{start}{id}</Key></Contents></ListBucketResult>");
    let more = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
                </ListBucketResult>";
    let whole = |name: &str| Some([name.parse::<SnapshotId>().expect("an id")].into_iter().collect::<Names>());
    let redirect = |to: &Answering| format!("302 Found\r\nLocation: http://{}/x/snapshots/", to.address());
    let (good_rest, good_s3) = (Answering::text(http("200 OK", v2, &list)), Answering::text(http("200 OK", "", &page)));
    let wrong_region = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    let cut = http("200 OK", v2, &list).replace("Content-Length: 8", "Content-Length: 9");
    let rest = [
        (http("200 OK", v2, &list), whole(&id)),
        (http("200 OK", "text/plain", &format!("[\"{id}\"]")), whole(&id)),
        (http(&redirect(&good_rest), v2, &list), None),
        (http("206 Partial Content", v2, &list), None),
        (http("404 Not Found", v2, &list), None),
        (http("200 OK", "text/html", "<html>"), None),
        (http("200 OK", v2, &list[..40]), None),
        (cut, None),
        ("SSH-2.0-x\r\n".to_owned(), None),
        (String::new(), None),
    ];
    let s3 = [
        (http("200 OK", "", &page), whole(&id)),
        (http(&redirect(&good_s3), "", &page), None),
        (http("400 Bad Request", "", wrong_region), None),
        (http("403 Forbidden", "", &page), None),
        (http("200 OK", "", &page[..page.len() - 1]), None),
        (http("200 OK", "", &page.replace("x/snap", "y/snap")), None),
        (http("200 OK", "", more), None),
        (http("200 OK", "", &format!("<!DOCTYPE a [<!ENTITY b \"x\">]>{}", page.replace("x/snap", "&b;/snap"))), None),
        (String::new(), None),
    ];
    let names = |url: &str| run(program.host(&Repository::at(url)).restic().names());
    let at_rest = |server: &Answering| names(&format!("rest:http://me:url-secret@{}/x/", server.address()));
    let at_s3 = |server: &Answering| names(&format!("s3:http://{}/bucket/x", server.address()));
    for (answer, wanted) in rest {
        assert_eq!(at_rest(&Answering::text(answer.clone())), wanted, "{answer}");
    }
    for (answer, wanted) in s3 {
        assert_eq!(at_s3(&Answering::text(answer.clone())), wanted, "{answer}");
    }
    // Side by side, since they wait: without an end, and without an answer.
    thread::scope(|scope| {
        for (server, what) in [(Answering::endless(), "endless"), (Answering::never(), "silent")] {
            scope.spawn(move || {
                assert_eq!(at_rest(&server), None, "{what}");
                assert_eq!(at_s3(&server), None, "{what}");
            });
        }
    });
    assert_eq!(names(&format!("rest:http://127.0.0.1:{}/x/", servers::closed_port())), None);
    Ok(Completion::Completed)
}

/// As restic trusts them. What it is told to trust in another way is left to it.
pub(crate) fn a_server_is_asked_for_names_only_with_a_trusted_certificate(program: &Program) -> Outcome {
    let python = servers::python()?;
    let nowhere = Repository::folder();
    for (end, works) in [("9", true), ("-1", false)] {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        let place = directory.path().to_str().expect("a path");
        program.host(&nowhere).tool(python.to_str().expect("a path"), &["-c", CERTIFY, place, end]);
        let server = Server::rest_with_tls(&file("certificate"), &file("key"))?;
        let snapshots = server.data().join("data/path/snapshots");
        fs::create_dir_all(&snapshots)?;
        fs::File::create(snapshots.join("ab".repeat(32)))?.write_all(b"x")?;
        let at = Repository::at(&server.url);
        let trusting = |line: &str| program.host(&at).line(&format!("{line}={}", file("authority").display()));
        assert_eq!(run(trusting("SSL_CERT_FILE").restic().names()).is_some(), works, "valid until day {end}");
        assert_eq!(run(trusting("RESTIC_CACERT").restic().names()), None);
        assert_eq!(run(program.host(&at).restic().names()), None, "nobody trusts it");
    }
    Ok(Completion::Completed)
}
