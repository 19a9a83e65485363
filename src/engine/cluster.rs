//! Connects the processes of a cluster: a socket to each, after they have agreed that they belong
//! together. Process i calls the ones before it and listens for the ones after it.

use crate::error::{Error, Result, reason};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long processes wait for each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// What two processes tell each other first: both must run the same version with the same numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Greeting {
    version: u32,
    processes: u32,
    workers: u32,
    process: u32,
}

const MAGIC: u32 = 0x5748_4152;
/// Changes whenever what processes send each other does.
const VERSION: u32 = 1;

/// Sockets to all other processes, in order; `None` at this one's place.
pub fn connect(hosts: &[String], process: usize, workers: usize) -> Result<Vec<Option<TcpStream>>> {
    let mine = Greeting {
        version: VERSION,
        processes: hosts.len() as u32,
        workers: workers as u32,
        process: process as u32,
    };
    let deadline = Instant::now() + PATIENCE;
    let listener = TcpListener::bind(&hosts[process]).map_err(|e| {
        Error::runtime(format!("cannot listen on {} as process {process}: {}", hosts[process], reason(&e)))
            .hint("is -p right, and is the port in the hostfile free?")
    })?;
    let mut sockets: Vec<Option<TcpStream>> = hosts.iter().map(|_| None).collect();
    for (index, host) in hosts.iter().enumerate().take(process) {
        let mut socket = call(host, index, deadline)?;
        greet(&mut socket, mine).and_then(|theirs| check(mine, theirs, Some(index)))?;
        sockets[index] = Some(socket);
    }
    listener
        .set_nonblocking(true)
        .map_err(|e| Error::runtime(format!("cannot listen for other processes: {}", reason(&e))))?;
    while sockets.iter().skip(process + 1).any(Option::is_none) {
        let Ok((mut socket, _)) = listener.accept() else {
            let missing: Vec<String> =
                (process + 1..hosts.len()).filter(|i| sockets[*i].is_none()).map(|i| i.to_string()).collect();
            if Instant::now() > deadline {
                return Err(Error::runtime(format!(
                    "process {} has not come within {} s",
                    missing.join(", "),
                    PATIENCE.as_secs()
                ))
                .hint("start every process of the cluster, with the same script, -n, -w and --hostfile"));
            }
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let ready = socket.set_nonblocking(false);
        let theirs = ready.map_err(lost).and_then(|()| greet(&mut socket, mine))?;
        check(mine, theirs, None)?;
        sockets[theirs.process as usize] = Some(socket);
    }
    Ok(sockets)
}

fn call(host: &str, index: usize, deadline: Instant) -> Result<TcpStream> {
    loop {
        let error = match host.to_socket_addrs().map(|mut all| all.next()) {
            Ok(Some(address)) => match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
                Ok(socket) => {
                    socket.set_nodelay(true).map_err(lost)?;
                    return Ok(socket);
                }
                Err(error) => reason(&error),
            },
            Ok(None) => "the name has no address".into(),
            Err(error) => reason(&error),
        };
        if Instant::now() > deadline {
            return Err(Error::runtime(format!("process {index} does not answer on {host}: {error}"))
                .hint("start every process of the cluster; check the hostfile"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Both say who they are, then both listen.
fn greet(socket: &mut TcpStream, mine: Greeting) -> Result<Greeting> {
    let words = [MAGIC, mine.version, mine.processes, mine.workers, mine.process];
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    socket.set_nodelay(true).map_err(lost)?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).map_err(lost)?;
    socket.write_all(&bytes).map_err(lost)?;
    let mut answer = [0u8; 20];
    socket.read_exact(&mut answer).map_err(lost)?;
    socket.set_read_timeout(None).map_err(lost)?;
    let word = |i: usize| {
        u32::from_be_bytes([answer[4 * i], answer[4 * i + 1], answer[4 * i + 2], answer[4 * i + 3]])
    };
    if word(0) != MAGIC {
        return Err(Error::usage("what answers on an address of the hostfile is not wharfe")
            .hint("check the hostfile"));
    }
    Ok(Greeting { version: word(1), processes: word(2), workers: word(3), process: word(4) })
}

fn check(mine: Greeting, theirs: Greeting, expected: Option<usize>) -> Result<()> {
    let describe = |g: Greeting| format!("-n {} -w {}", g.processes, g.workers);
    if theirs.version != mine.version {
        return Err(Error::usage("the processes run different versions of wharfe"));
    }
    if (theirs.processes, theirs.workers) != (mine.processes, mine.workers) {
        return Err(Error::usage(format!(
            "process {} was started with {}, this one with {}",
            theirs.process,
            describe(theirs),
            describe(mine)
        ))
        .hint("start all with the same numbers"));
    }
    let fits = match expected {
        Some(index) => theirs.process as usize == index,
        None => theirs.process > mine.process && theirs.process < mine.processes,
    };
    if fits {
        return Ok(());
    }
    Err(Error::usage(format!("the process that should be another one says it is process {}", theirs.process))
        .hint("give each its own -p, and all the same hostfile"))
}

fn lost(error: std::io::Error) -> Error {
    Error::runtime(format!("a process of the cluster went away while it connected: {}", reason(&error)))
}
