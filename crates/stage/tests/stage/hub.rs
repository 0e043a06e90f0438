//! Through `hf-hub`, from a hub on loopback.

use crate::world::{ONE_TWO_THREE, World};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A hub with one file, `org/repo` `model.bin`.
struct Hub {
    content: Mutex<Vec<u8>>,
    /// Hang up after this many bytes of a body.
    hang_up_after: Mutex<usize>,
    /// The `Range` of each request, as sent.
    ranges: Mutex<Vec<String>>,
}

impl Hub {
    fn start(content: &[u8], hang_up_after: usize) -> (Arc<Self>, String) {
        let hub = Arc::new(Self {
            content: Mutex::new(content.to_vec()),
            hang_up_after: Mutex::new(hang_up_after),
            ranges: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&hub);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A connection that only checks whether somebody is here asks nothing.
                let _ = shared.answer(stream.unwrap());
            }
        });
        (hub, endpoint)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        if request.is_empty() {
            return Ok(());
        }
        let mut range = String::new();
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("range: bytes=") {
                range = value.to_owned();
            }
        }
        if !request.contains("/org/repo/resolve/main/model.bin") {
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        self.ranges.lock().unwrap().push(range.clone());
        let content = self.content.lock().unwrap().clone();
        let (from, to) = range.split_once('-').unwrap();
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(content.len(), |last: usize| last + 1);
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
             ETag: \"e7a9\"\r\nX-Repo-Commit: c0ffee\r\nConnection: close\r\n\r\n",
            to - from,
            to - 1,
            content.len()
        )?;
        let body = &content[from..to];
        stream.write_all(&body[..body.len().min(*self.hang_up_after.lock().unwrap())])
    }
}

#[test]
fn a_file_comes_from_the_hub_where_it_can_be_reached() {
    let (_hub, endpoint) = Hub::start(b"one two three ", usize::MAX);
    let world = World::with_hub(endpoint);
    world.catalogue(14, ONE_TWO_THREE, &[]);
    let ran = world.fetch(&["--json"]);
    assert_eq!(ran.exits(0).json()["files"][0]["source"], "hf-hub org/repo@main model.bin");
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
    assert!(world.model().metadata().unwrap().is_file() && !world.exists("models/.partial"));
}

#[test]
fn a_download_cut_short_resumes_where_it_stopped() {
    let (hub, endpoint) = Hub::start(b"one two three ", 5);
    let world = World::with_hub(endpoint);
    world.catalogue(14, ONE_TWO_THREE, &[]);
    world.fetch(&[]).exits(1).says(&["1. hf-hub org/repo@main model.bin: "]);
    assert!(!world.model().exists(), "a part of a file under its final name");

    *hub.hang_up_after.lock().unwrap() = usize::MAX;
    world.fetch(&[]).exits(0);
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
    assert_eq!(*hub.ranges.lock().unwrap(), ["0-0", "0-", "0-0", "5-"]);
}

#[test]
fn wrong_bytes_from_the_hub_are_refused_and_not_kept() {
    let (hub, endpoint) = Hub::start(b"ONE TWO THREE ", usize::MAX);
    let world = World::with_hub(endpoint);
    world.catalogue(14, ONE_TWO_THREE, &[]);
    world.fetch(&[]).exits(1).says(&["wrong bytes", ONE_TWO_THREE]);
    assert!(!world.model().exists());

    *hub.content.lock().unwrap() = b"one two three ".to_vec();
    world.fetch(&[]).exits(0);
}

#[test]
fn a_repository_the_hub_does_not_have_is_said() {
    let (_hub, endpoint) = Hub::start(b"", usize::MAX);
    let world = World::with_hub(endpoint + "/mirror");
    world.catalogue(14, ONE_TWO_THREE, &[]);
    let text = fs_err::read_to_string(world.path("catalog.toml")).unwrap().replace("org/repo", "org/other");
    fs_err::write(world.path("catalog.toml"), text).unwrap();
    world.fetch(&[]).exits(1).says(&["org/other", "404"]);
}
