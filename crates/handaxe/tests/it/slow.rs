//! A client that sends a byte at a time is cut off: in its headers, in its body, and when it says
//! nothing at all. The bounds here are of the order of the stated one, with room for a busy machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::server::Server;

/// As the server is started here.
const WITHIN: Duration = Duration::from_secs(1);
/// Long past the bound, and far from the default one.
const CEILING: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_millis(100);

/// Sends `head`, then a byte at every beat; what came back until the server hung up.
fn dribble(server: &Server, head: &str, byte: u8) -> (Duration, String) {
    let mut stream = TcpStream::connect(&server.addr).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(BEAT)).unwrap();
    let begun = Instant::now();
    let mut reply = Vec::new();
    let mut piece = [0; 4096];
    loop {
        assert!(
            begun.elapsed() < CEILING,
            "it is still listened to: {head:?}"
        );
        if byte != 0 && stream.write_all(&[byte]).is_err() {
            break;
        }
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => reply.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (
        begun.elapsed(),
        String::from_utf8_lossy(&reply).into_owned(),
    )
}

#[test]
fn a_slow_sender_is_cut_off() {
    let lab = Lab::new();
    let server = Server::start(&lab, &["--read-timeout", "1"]);
    let person = server.sign_in();
    let host = format!("Host: {}\r\n", server.addr);
    let bearer = format!("Authorization: Bearer {}\r\n", server.token);
    let cookie = format!("Cookie: {}\r\n", person.cookie);
    let json = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let long = "Content-Length: 100000\r\n\r\n";
    let cases = [
        ("nothing", String::new(), 0, false),
        ("half a line", "GET / HT".to_owned(), 0, false),
        (
            "headers",
            format!("GET / HTTP/1.1\r\n{host}X-Slow: "),
            b'a',
            false,
        ),
        (
            "headers of a program",
            format!("POST /mcp HTTP/1.1\r\n{host}{bearer}X-Slow: "),
            b'a',
            false,
        ),
        (
            "a message",
            format!("POST /mcp HTTP/1.1\r\n{host}{bearer}{json}{long}"),
            b' ',
            true,
        ),
        (
            "a body of the API",
            format!("POST /api/v1/runs HTTP/1.1\r\n{host}{bearer}{json}{long}"),
            b' ',
            true,
        ),
        (
            "a body in chunks",
            format!(
                "POST /api/v1/runs HTTP/1.1\r\n{host}{bearer}{json}Transfer-Encoding: chunked\r\n\r\nffff\r\n"
            ),
            b' ',
            true,
        ),
        (
            "a form",
            format!("POST /logout HTTP/1.1\r\n{host}{cookie}{form}{long}"),
            b'a',
            true,
        ),
        (
            "a form with files",
            format!(
                "POST /runs HTTP/1.1\r\n{host}{cookie}Content-Type: multipart/form-data; boundary=b\r\n{long}"
            ),
            b'-',
            true,
        ),
    ];
    std::thread::scope(|scope| {
        for (what, head, byte, answered) in &cases {
            let server = &server;
            scope.spawn(move || {
                let (took, reply) = dribble(server, head, *byte);
                assert!(
                    took + BEAT >= WITHIN,
                    "{what}: cut off after {took:?}: {reply}"
                );
                if *answered {
                    assert!(reply.starts_with("HTTP/1.1 408"), "{what}: {reply}");
                }
            });
        }
    });
    // Who is slow in reading, or comes back to a connection in time, is not cut off.
    let mut stream = TcpStream::connect(&server.addr).unwrap();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    for _ in 0..3 {
        for half in ["GET /healthz HTTP/1.1\r\n", &format!("{host}\r\n")] {
            stream.write_all(half.as_bytes()).unwrap();
            std::thread::sleep(BEAT);
        }
        let mut reply = [0; 4096];
        let n = stream.read(&mut reply).unwrap();
        assert!(reply[..n].starts_with(b"HTTP/1.1 200"));
    }
    server.stop();
}
