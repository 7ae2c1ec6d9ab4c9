//! An application whose health follows what was deployed: the page reads it from a file, as a service
//! restarted into another version would.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Serves 200, or 503 while the file at `version` says `broken`; while it says `slow`, nothing. Gives its health
/// page's URL.
pub fn serve(version: PathBuf) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let version = version.clone();
            std::thread::spawn(move || answer(stream, &version));
        }
    });
    format!("http://127.0.0.1:{port}/health")
}

fn answer(mut stream: TcpStream, version: &Path) {
    let says = |word| std::fs::read_to_string(version).is_ok_and(|text| text.trim() == word);
    let mut request = [0u8; 1024];
    let _ = stream.read(&mut request);
    while says("slow") {
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = if says("broken") { 503 } else { 200 };
    let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}
