//! A small HTTP proxy: sends every connection to one address, whatever host was asked for, and keeps the request lines.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy; it lives as long as the process.
pub struct Proxy {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that knows one server.
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (server, kept) = (server.to_owned(), lines.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, kept) = (server.clone(), kept.clone());
                thread::spawn(move || pass(client, &server, &kept));
            }
        });
        Proxy { address, lines }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of each connection: `CONNECT host:443 HTTP/1.1`, `GET http://host/ HTTP/1.1`.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

fn pass(mut client: TcpStream, server: &str, kept: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let (first, rest) = text.split_once("\r\n").unwrap();
    kept.lock().unwrap().push(first.to_owned());
    let mut server = TcpStream::connect(server).unwrap();
    if first.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    } else {
        // A server wants the path alone, a proxy was given the whole URL; one request a connection.
        let words: Vec<_> = first.split(' ').collect();
        let path = words[1].splitn(4, '/').nth(3).unwrap();
        write!(server, "{} /{path} HTTP/1.1\r\nConnection: close\r\n{rest}", words[0]).unwrap();
    }
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
