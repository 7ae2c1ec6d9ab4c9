//! The page in a real browser: Chromium, driven by its own WebDriver over plain HTTP. `make test-report` installs both and
//! names the driver in BACKSTAY_CHROMEDRIVER; with BACKSTAY_PICTURES a picture of each page is left in that folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backstay::report::{Evidence, Report, page};
use base64::Engine;
use serde_json::{Value, json};

use crate::common::project::Project;
use crate::tales;

/// The widths that a page must fit: a phone, a desk.
const WIDTHS: [u32; 2] = [390, 1280];

#[test]
#[ignore = "needs Chromium: make test-report"]
fn pages_in_a_browser() {
    let browser = Browser::start();
    let folder = tempfile::tempdir().expect("a folder");
    let tales: [(&str, Evidence); 10] = [
        ("good", tales::good()),
        ("put-back", tales::put_back()),
        ("not-put-back", tales::not_put_back()),
        ("running", tales::running()),
        ("died-clearing", tales::died_clearing()),
        ("rolled-back", tales::rolled_back()),
        ("damaged", tales::damaged()),
        ("hostile", tales::hostile()),
        ("long", tales::long()),
        ("boundless", tales::boundless()),
    ];
    for (name, evidence) in tales {
        let file = folder.path().join(format!("{name}.html"));
        std::fs::write(&file, page(&Report::of(&evidence))).expect("a page");
        look_at(&browser, name, &file);
    }
    opens_quickly(&browser, &folder.path().join("long.html"));
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: make test-report"]
async fn the_page_of_a_real_run_in_a_browser() {
    let project = Project::shop().await;
    project.set_deploy("echo deployed; exit 1", "echo undone");
    project.run(&["run", "release", "--yes"]).expect(4);
    project.set_deploy("seq 40", "true");
    project.run(&["run", "release", "--yes"]).expect(0);
    let browser = Browser::start();
    for (name, run) in [("real-good", 0), ("real-put-back", 1)] {
        let runs: Value =
            serde_json::from_str(&project.run(&["runs", "--json"]).expect(0).out).expect("JSON");
        let run = runs[run]["run"].as_str().expect("a run");
        project.run(&["report", run, "--out", "page.html"]).expect(0);
        look_at(&browser, name, &project.path("page.html"));
    }
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

/// The page in both widths, light and dark, and on paper.
fn look_at(browser: &Browser, name: &str, file: &Path) {
    for width in WIDTHS {
        for scheme in ["light", "dark"] {
            browser.look(width, scheme);
            browser.open(file);
            fits(browser, name, width);
            has_scheme(browser, name, scheme);
            is_alone(browser, name);
            browser.picture(&format!("{name}-{width}-{scheme}"), width);
        }
    }
    browser.look(1280, "dark");
    browser.open(file);
    is_printed(browser, name);
    assert!(browser.ask("return window.hacked === undefined").as_bool() == Some(true), "{name}");
}

/// Nothing is wider than the screen; what may be is scrolled in a box of its own.
fn fits(browser: &Browser, name: &str, width: u32) {
    let wide = browser.ask(
        "const w = document.documentElement.clientWidth; const out = [];
         if (document.documentElement.scrollWidth > w) for (const e of document.querySelectorAll('body *')) {
           if (e.getBoundingClientRect().right > w + 1) out.push(e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 60));
         }
         return out.concat(document.documentElement.scrollWidth > w ? ['scrolls: ' + document.documentElement.scrollWidth] : [])",
    );
    assert_eq!(wide, json!([]), "{name} at {width}");
}

/// Paper is light or dark, and what stands on it can be read.
fn has_scheme(browser: &Browser, name: &str, scheme: &str) {
    let contrasts = browser.ask(
        "const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
           return .2126 * r + .7152 * g + .0722 * b };
         const paper = light(getComputedStyle(document.body).backgroundColor);
         const of = q => { const e = document.querySelector(q); if (!e) return 21;
           const ink = light(getComputedStyle(e).color); return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05) };
         return [paper, of('h1'), of('.lead'), of('.eyebrow'), of('.took'), of('.sql .k'), of('.sql .s'), of('ins'), of('del')]",
    );
    let figures: Vec<f64> = contrasts.as_array().expect("figures").iter().filter_map(Value::as_f64).collect();
    assert_eq!(figures[0] < 0.2, scheme == "dark", "{name}, {scheme}: paper {}", figures[0]);
    assert!(figures[1..].iter().all(|contrast| *contrast >= 4.5), "{name}, {scheme}: contrasts {figures:?}");
}

/// Nothing is loaded from anywhere, and nothing runs.
fn is_alone(browser: &Browser, name: &str) {
    let strangers = browser.ask(
        "return performance.getEntriesByType('resource').map(e => e.name).concat(
           [...document.querySelectorAll('script, img, iframe, object, embed, link, form, input')].map(e => e.outerHTML))",
    );
    assert_eq!(strangers, json!([]), "{name}");
}

fn is_printed(browser: &Browser, name: &str) {
    let printed = browser.devtools(
        "Page.printToPDF",
        json!({ "printBackground": true, "paperWidth": 8.27, "paperHeight": 11.69 }),
    );
    let pdf = base64::engine::general_purpose::STANDARD.decode(printed["data"].as_str().expect("a PDF"));
    let pdf = pdf.expect("base64");
    assert!(pdf.starts_with(b"%PDF"), "{name}");
    if let Some(folder) = pictures() {
        std::fs::write(folder.join(format!("{name}.pdf")), pdf).expect("a file");
    }
}

/// A run of 2,000 steps: parsed, styled and laid out, as a person waits for it.
fn opens_quickly(browser: &Browser, file: &Path) {
    browser.look(1280, "light");
    // The best of a few: others may be at work on the machine.
    let once = || {
        browser.open(file);
        let millis = browser.ask(
            "document.documentElement.scrollHeight; const t = performance.getEntriesByType('navigation')[0];
             return Math.max(t.duration, t.loadEventEnd)",
        );
        millis.as_f64().expect("a figure")
    };
    let millis = (0..5).map(|_| once()).fold(f64::INFINITY, f64::min);
    eprintln!("2,000 steps open in {millis:.0} ms");
    assert!(millis < 1_000.0, "2,000 steps take {millis} ms");
}

fn pictures() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("BACKSTAY_PICTURES")?);
    std::fs::create_dir_all(&folder).expect("a folder");
    Some(folder)
}

/// A headless Chromium; ends with the test.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    fn start() -> Self {
        let program = std::env::var("BACKSTAY_CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let driver = Command::new(&program)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; make test-report installs it"));
        let mut browser = Self { driver, port, session: String::new() };
        let began = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "{program} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments }, "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let session = browser.call("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_string();
        browser
    }

    /// From here on the screen has this width, and the system this scheme.
    fn look(&self, width: u32, scheme: &str) {
        self.resize(width, 900);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    fn resize(&self, width: u32, height: u64) {
        let scale = if width < 600 { 2 } else { 1 };
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", screen);
    }

    fn open(&self, file: &Path) {
        self.of_session("POST", "url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    fn ask(&self, script: &str) -> Value {
        self.of_session("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.of_session("POST", "goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the console has.
    fn complaints(&self) -> Vec<Value> {
        self.of_session("POST", "se/log", &json!({ "type": "browser" }))
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Leaves a picture of the whole page, where pictures are wanted.
    fn picture(&self, name: &str, width: u32) {
        let Some(folder) = pictures() else { return };
        let height = self.ask("return document.documentElement.scrollHeight").as_u64().unwrap_or(900);
        self.resize(width, height.clamp(600, 6_000));
        let shot = self.of_session("GET", "screenshot", &Value::Null);
        let shot = base64::engine::general_purpose::STANDARD.decode(shot.as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), shot.expect("base64")).expect("a file");
    }

    fn of_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}/{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (head, body) = self.exchange(method, path, body).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head} {body}");
        serde_json::from_str::<Value>(&body).expect("JSON")["value"].take()
    }

    /// One request and its answer's head and body. The driver keeps connections open, whatever it is told.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(String, String)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok((head, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium is the driver's child and would outlive it.
        let _ = self.exchange("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
