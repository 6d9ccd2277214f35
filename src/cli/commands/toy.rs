//! `osier toy`: the little apps of the demo, so that nothing else need be installed. Hidden.
//!
//! Standard library only and no thread: each is as light as a process of this binary can be.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::outcome::{Exit, Outcome, Trouble};

/// How long a toy waits for the other end of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest request that the greeter reads.
const REQUEST_BYTES_MAX: u64 = 8 << 10;

/// The shortest and the longest life of the toy that crashes, in milliseconds: rare enough that its budget of five
/// restarts a minute lasts.
const MOODY_LIFE_MS: std::ops::Range<u64> = 20_000..45_000;

/// Be one of the demo's apps.
#[derive(Debug, Args)]
pub(crate) struct ToyArgs {
    #[command(subcommand)]
    kind: Toy,
}

#[derive(Debug, Subcommand)]
enum Toy {
    /// Tells the time.
    Clock {
        /// How often.
        #[arg(long, default_value = "1s", value_parser = super::super::args::duration)]
        every: Duration,
    },
    /// Greets over HTTP.
    Web {
        /// Where, on the loopback address.
        #[arg(long, env = "PORT")]
        port: u16,
        /// What it says.
        #[arg(long, env = "GREETING", default_value = "hello")]
        greeting: String,
    },
    /// Asks the greeter again and again.
    Worker {
        /// Where the greeter is.
        #[arg(long, env = "PORT")]
        port: u16,
        /// How often.
        #[arg(long, default_value = "2s", value_parser = super::super::args::duration)]
        every: Duration,
    },
    /// Crashes now and then.
    Moody,
}

/// Runs it until it is stopped, or has crashed as a moody one does.
pub(crate) fn run(args: ToyArgs) -> Outcome {
    match args.kind {
        Toy::Clock { every } => clock(every),
        Toy::Web { port, greeting } => web(port, &greeting),
        Toy::Worker { port, every } => worker(port, every),
        Toy::Moody => moody(),
    }
}

/// A line on standard output. A toy whose output nobody can take has nothing to live for.
fn say(text: &str) -> Result<(), Trouble> {
    writeln!(io::stdout(), "{text}").map_err(|error| Trouble::new("cannot write").cause(error))
}

fn clock(every: Duration) -> Outcome {
    loop {
        say(&jiff::Zoned::now().strftime("it is %H:%M:%S").to_string())?;
        std::thread::sleep(every);
    }
}

fn web(port: u16, greeting: &str) -> Outcome {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address);
    let listener =
        listener.map_err(|error| Trouble::new(format!("cannot listen on {address}")).cause(error))?;
    say(&format!("listening on http://{address}/"))?;
    let mut served: u64 = 0;
    loop {
        // A client that leaves early concerns nobody else.
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        if let Ok(path) = greet(stream, greeting) {
            served += 1;
            say(&format!("{path} greeted, {served} so far"))?;
        }
    }
}

fn greet(mut stream: TcpStream, greeting: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(CONNECTION_TIMEOUT))?;
    stream.set_write_timeout(Some(CONNECTION_TIMEOUT))?;
    let mut lines = BufReader::new((&stream).take(REQUEST_BYTES_MAX)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path: String = first
        .split(' ')
        .nth(1)
        .unwrap_or("/")
        .escape_default()
        .take(64)
        .collect();
    let version = std::env::var("OSIER_VERSION").unwrap_or_default();
    let body = format!("{greeting} from web {version}\n");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(path)
}

fn worker(port: u16, every: Duration) -> Outcome {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut asked: u64 = 0;
    loop {
        asked += 1;
        match ask(address) {
            Ok(answer) => say(&format!("job {asked}: {}", answer.trim_end()))?,
            Err(error) => say(&format!("job {asked}: web does not answer: {error}"))?,
        }
        std::thread::sleep(every);
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECTION_TIMEOUT)?;
    stream.set_read_timeout(Some(CONNECTION_TIMEOUT))?;
    stream.write_all(b"GET /job HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(REQUEST_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer
        .split_once("\r\n\r\n")
        .map_or(String::new(), |(_, body)| body.to_owned()))
}

fn moody() -> Outcome {
    let life = Duration::from_millis(fastrand::u64(MOODY_LIFE_MS));
    say("all is well")?;
    std::thread::sleep(life);
    let _ = writeln!(io::stderr(), "panic: lost my temper after {} s", life.as_secs());
    Ok(Exit::No)
}
