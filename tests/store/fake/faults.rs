//! What goes wrong, and when.

use std::time::Duration;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// An object in one request.
    Upload,
    /// The beginning of an upload session.
    Begin,
    /// Bytes for a session.
    Continue,
    /// How far a session has come.
    Progress,
    /// The bytes of an object.
    Read,
    /// What is known of an object.
    Look,
    List,
    Delete,
    /// For credentials.
    Token,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: this one goes well.
    None,
    /// This status and message, and nothing else happens.
    Answer(u16, &'static str),
    /// A page of a proxy.
    Page(u16, &'static str),
    /// The connection ends after so many bytes of the request.
    CutRequest(usize),
    /// All happens, but the connection ends without a reply.
    LoseReply,
    /// Somebody else's object stands under the name just before the request is done.
    OvertakenBy(&'static [u8]),
    /// The reply's body ends after so many bytes, and so does the connection.
    CutReply(usize),
    /// The reply comes so late.
    Late(Duration),
    /// The reply's body comes in pieces of so many bytes, with pauses.
    Drip(usize, Duration),
    /// One bit of the body is changed, the request's or the reply's.
    Flip,
    /// The reply's header has no sums, and one bit of its body is changed if this says so.
    Unsummed { flip: bool },
    /// The reply's body is so much shorter, and says that this is all.
    Short(usize),
}

/// Faults that were ordered, first come first served.
#[derive(Default)]
pub(super) struct Faults(Vec<(usize, On, Fault)>);

impl Faults {
    pub fn order(&mut self, times: usize, on: On, fault: Fault) {
        self.0.push((times, on, fault));
    }

    pub fn next(&mut self, on: On) -> Option<Fault> {
        let place = self.0.iter().position(|(_, kind, _)| *kind == on)?;
        let (times, _, fault) = &mut self.0[place];
        let fault = fault.clone();
        if *times != usize::MAX {
            *times -= 1;
        }
        if *times == 0 {
            self.0.remove(place);
        }
        Some(fault)
    }
}
