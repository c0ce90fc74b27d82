//! OpenLDAP's server, on loopback, with a certificate of a CA of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ldap3::{LdapConnAsync, Mod, drive};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Who looks people up.
pub(crate) const LOOKS_UP: (&str, &str) = ("cn=myelin,dc=example,dc=org", "looks-people-up");
/// Under what they are.
pub(crate) const BASE: &str = "dc=example,dc=org";

const PEOPLE: [(&str, &str, &str); 3] =
    [("alice", "Alice A.", "wonderland"), ("bob", "Bob", "builder"), ("a*", "Star", "star")];

/// A directory with a few people, and its process.
pub(crate) struct Slapd {
    process: Child,
    folder: tempfile::TempDir,
    /// Where it speaks in the clear, or begins to.
    pub(crate) port: u16,
    /// Where it speaks TLS.
    pub(crate) tls_port: u16,
}

impl Slapd {
    /// With a certificate for `127.0.0.1`, and no other name.
    pub(crate) async fn start() -> Self {
        Self::build(true).await
    }

    /// Without any.
    pub(crate) async fn without_tls() -> Self {
        Self::build(false).await
    }

    async fn build(with_tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, tls_port) = (free(), free());
        std::fs::create_dir(folder.path().join("db")).unwrap();
        let place = folder.path().display();
        let (own, password) = LOOKS_UP;
        let mut settings = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             pidfile {place}/pid\nargsfile {place}/args\n"
        );
        if with_tls {
            certify(folder.path());
            write!(settings, "TLSCertificateFile {place}/own.pem\nTLSCertificateKeyFile {place}/own.key\n")
                .unwrap();
        }
        // As a careful operator has it: people are looked up by who may, and by nobody else.
        write!(
            settings,
            "database mdb\nsuffix \"{BASE}\"\nrootdn \"{own}\"\nrootpw {password}\ndirectory {place}/db\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by * none\n"
        )
        .unwrap();
        std::fs::write(folder.path().join("slapd.conf"), settings).unwrap();
        let mut entries = format!(
            "dn: {BASE}\nobjectClass: organization\nobjectClass: dcObject\ndc: example\no: Example\n"
        );
        for person in PEOPLE {
            entries.push_str(&entry(person));
        }
        let mut add = Self::command("slapadd", folder.path()).stdin(Stdio::piped()).spawn().unwrap();
        add.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let process = Self::run(folder.path(), (port, tls_port), with_tls);
        let slapd = Self { process, folder, port, tls_port };
        slapd.wait(with_tls).await;
        slapd
    }

    fn command(name: &str, folder: &Path) -> Command {
        let mut command = Command::new(format!("/usr/sbin/{name}"));
        command.arg("-f").arg(folder.join("slapd.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(folder: &Path, (port, tls_port): (u16, u16), with_tls: bool) -> Child {
        let clear = format!("ldap://127.0.0.1:{port}");
        let places = if with_tls { format!("{clear} ldaps://127.0.0.1:{tls_port}") } else { clear };
        Self::command("slapd", folder).args(["-h", &places, "-d", "0"]).spawn().unwrap()
    }

    /// Until it answers.
    async fn wait(&self, with_tls: bool) {
        let ports = if with_tls { vec![self.port, self.tls_port] } else { vec![self.port] };
        for _ in 0..500 {
            if ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("slapd did not come up");
    }

    /// The certificate of its CA.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn again(&mut self) {
        self.process = Self::run(self.folder.path(), (self.port, self.tls_port), true);
        self.wait(true).await;
    }

    async fn administer(&self) -> ldap3::Ldap {
        let place = format!("ldap://127.0.0.1:{}", self.port);
        let (connection, mut ldap) = LdapConnAsync::new(&place).await.unwrap();
        drive!(connection);
        ldap.simple_bind(LOOKS_UP.0, LOOKS_UP.1).await.unwrap().success().unwrap();
        ldap
    }

    /// Takes somebody out of the directory.
    pub(crate) async fn remove(&self, name: &str) {
        self.administer().await.delete(&dn(name)).await.unwrap().success().unwrap();
    }

    /// Puts somebody else of that name into it.
    pub(crate) async fn add(&self, name: &str, password: &str) {
        let values = [
            ("objectClass", "inetOrgPerson"),
            ("uid", name),
            ("cn", name),
            ("sn", "x"),
            ("userPassword", password),
        ];
        let values = values.map(|(attribute, value)| (attribute, [value].into())).into();
        self.administer().await.add(&dn(name), values).await.unwrap().success().unwrap();
    }

    /// Gives somebody another password there.
    pub(crate) async fn set_password(&self, name: &str, password: &str) {
        self.set(name, "userPassword", password).await;
    }

    /// Gives somebody an attribute there.
    pub(crate) async fn set(&self, name: &str, attribute: &str, value: &str) {
        let change = Mod::Replace(attribute, [value].into());
        self.administer().await.modify(&dn(name), vec![change]).await.unwrap().success().unwrap();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn dn(name: &str) -> String {
    format!("uid={name},{BASE}")
}

fn entry((name, called, password): (&str, &str, &str)) -> String {
    format!(
        "\ndn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {called}\nsn: x\n\
         mail: {name}@example.org\nuserPassword: {password}\n"
    )
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate for `127.0.0.1`, and that of the CA that made it.
fn certify(folder: &Path) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    for (name, text) in [("ca.pem", ca.pem()), ("own.pem", own.pem()), ("own.key", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
