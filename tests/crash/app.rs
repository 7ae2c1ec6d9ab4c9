//! An application whose health follows what was deployed: the page reads it from a file, as a service
//! restarted into another version would.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

/// Serves 200, or 503 while the file at `version` says `broken`. Gives its health page's URL.
pub fn serve(version: PathBuf) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0u8; 1024];
            let _ = stream.read(&mut request);
            let broken = std::fs::read_to_string(&version).is_ok_and(|text| text.trim() == "broken");
            let status = if broken { 503 } else { 200 };
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    format!("http://127.0.0.1:{port}/health")
}
