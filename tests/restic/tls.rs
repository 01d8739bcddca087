//! A server whose certificate is not trusted, or has expired.

use std::fs;

use kuma_replicator::error::Kind;
use libtest_mimic::Completion;

use crate::Outcome;
use crate::parts::{Program, Repository, run};
use crate::servers::{self, Server};

/// Makes a certificate for 127.0.0.1 and its key: directory, and from which to which day it is valid, from now.
const CERTIFY: &str = r#"
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
directory, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
day = lambda number: datetime.datetime.utcnow() + datetime.timedelta(days=number)
key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(1).not_valid_before(day(begin)).not_valid_after(day(end)).add_extension(names, critical=True)
    .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
pem = serialization.Encoding.PEM
open(f"{directory}/certificate", "wb").write(certificate.public_bytes(pem))
open(f"{directory}/key", "wb").write(key.private_bytes(
    pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
"#;

pub(crate) fn certificates_are_checked_and_what_is_wrong_is_named(program: &Program) -> Outcome {
    let python = servers::python()?;
    // Valid from and to, whether this host trusts it, and what the hint names, if it does not work.
    for (begin, end, trusted, named) in [
        ("-1", "1", false, Some("SSL_CERT_FILE")),
        ("-1", "1", true, None),
        ("-9", "-2", true, Some("timedatectl")),
        ("2", "9", true, Some("timedatectl")),
    ] {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        let place = directory.path().to_str().expect("a path");
        let nowhere = Repository::folder();
        program.host(&nowhere).tool(python.to_str().expect("a path"), &["-c", CERTIFY, place, begin, end]);
        let server = Server::rest_with_tls(&file("certificate"), &file("key"))?;
        let mut host = program.host(&Repository::at(&server.url));
        if trusted {
            host = host.line(&format!("SSL_CERT_FILE={}", file("certificate").display()));
        }
        let Some(named) = named else {
            assert!(run(host.restic().init()).expect("created"));
            assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 0);
            continue;
        };
        let errors = [
            host.fails(run(host.restic().look()), Kind::RepositoryUnreachable),
            host.fails(run(host.restic().init()), Kind::RepositoryUnreachable),
        ];
        for error in errors {
            assert!(error.contains(named), "{error}");
        }
        assert_eq!(fs::read_dir(server.data())?.count(), 0, "something was written");
    }
    Ok(Completion::Completed)
}
