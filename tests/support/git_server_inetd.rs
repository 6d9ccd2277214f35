//! Servers that speak over their standard input and output (`git daemon --inetd`, `sshd -i`), behind a listener of the
//! test's own: no port is guessed, and nothing is left running.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct InetdServer {
    pub port: u16,
}

impl InetdServer {
    fn start(make: impl Fn() -> Command + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let output = stream.try_clone().unwrap();
                let mut child = make()
                    .stdin(Stdio::from(OwnedFd::from(stream)))
                    .stdout(Stdio::from(OwnedFd::from(output)))
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::spawn(move || child.wait());
            }
        });
        Self { port }
    }

    /// `git daemon` for every repository below `root`.
    pub fn git_daemon(root: &Path) -> Self {
        let root = root.to_owned();
        Self::start(move || {
            let mut command = Command::new("git");
            command.args(["-c", "safe.directory=*", "daemon", "--inetd", "--export-all"]);
            command.arg(format!("--base-path={}", root.display()));
            command
        })
    }
}

/// An ssh server with its own host key, and a user's key that it lets in.
pub struct SshServer {
    pub server: InetdServer,
    pub key: PathBuf,
    pub other_key: PathBuf,
    pub known_hosts: PathBuf,
    pub user: String,
}

const SSHD: &str = "/usr/sbin/sshd";

impl SshServer {
    pub fn start(room: &Path) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "these tests need {SSHD} (Debian package: openssh-server)"
        );
        let folder = room.join("sshd");
        std::fs::create_dir(&folder).unwrap();
        let [host_key, key, other_key] = ["host key", "user key", "other key"].map(|name| {
            let path = folder.join(name.replace(' ', "_"));
            let status = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(&path)
                .status()
                .expect("these tests need ssh-keygen (Debian package: openssh-client)");
            assert!(status.success());
            path
        });
        let authorized = folder.join("authorized_keys");
        std::fs::copy(key.with_extension("pub"), &authorized).unwrap();
        let config = folder.join("sshd_config");
        let text = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv GIT_PROTOCOL\n\
             PidFile none\nPrintMotd no\nLogLevel ERROR\n",
            host_key.display(),
            authorized.display()
        );
        std::fs::write(&config, text).unwrap();
        if rustix::process::geteuid().is_root() {
            // Where the distribution's unit would have made it.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let server = InetdServer::start(move || {
            let mut command = Command::new(SSHD);
            command.arg("-i").arg("-f").arg(&config);
            command
        });
        let known_hosts = folder.join("known hosts");
        let host_key = std::fs::read_to_string(host_key.with_extension("pub")).unwrap();
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{} {host_key}", server.port)).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        Self {
            server,
            key,
            other_key,
            known_hosts,
            user: String::from_utf8(user).unwrap().trim().to_owned(),
        }
    }

    pub fn url(&self, path: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.server.port,
            path.display()
        )
    }
}
