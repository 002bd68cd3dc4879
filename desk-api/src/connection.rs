//! The connection that a client keeps between two calls: to open one takes a tap as long as to answer it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixStream;
use tokio::runtime::{Handle, Id};

/// A connection to the daemon on which nobody asks at the moment.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// What moves its bytes, for as long as it is polled.
    driver: Pin<Box<http1::Connection<TokioIo<UnixStream>, Full<Bytes>>>>,
    /// The socket once more, to see without waiting whether the daemon has closed it.
    socket: OwnedFd,
    /// The runtime that tells when there are bytes.
    runtime: Id,
}

impl Connection {
    /// Takes a stream to the daemon.
    ///
    /// # Errors
    /// Whatever the system says, where this process has no more descriptors.
    pub(crate) async fn on(stream: UnixStream) -> io::Result<Self> {
        let socket = stream.as_fd().try_clone_to_owned()?;
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = made.map_err(io::Error::other)?;
        let runtime = Handle::current().id();
        Ok(Self { sender, driver: Box::pin(driver), socket, runtime })
    }

    /// Whether a request can be sent here. On a connection that waits, anything to be read says that the daemon has
    /// closed it: the daemon ended, or another one has taken its place. A request that is sent all the same might be
    /// recorded or not, so this is asked of the system before each.
    fn stands(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let quiet = matches!(poll(&mut socket, Some(&at_once)), Ok(0));
        quiet && self.sender.is_ready() && self.runtime == Handle::current().id()
    }

    /// Asks, and reads the answer to its end. The bytes are moved here and by no other task: that would cost two changes
    /// of the thread for each call.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<(StatusCode, Bytes)> {
        let answer = self.sender.send_request(request);
        let mut answer = pin!(async {
            let (head, body) = answer.await?.into_parts();
            Ok((head.status, body.collect().await?.to_bytes()))
        });
        let mut ended = false;
        poll_fn(|context| {
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                    // It notes that the line is free again.
                    ended = ended || self.driver.as_mut().poll(context).is_ready();
                    return Poll::Ready(answer);
                }
                // What it brings wakes this task; a line that has broken has told the answer so.
                if ended || self.driver.as_mut().poll(context).is_pending() {
                    break;
                }
                ended = true;
            }
            Poll::Pending
        })
        .await
    }

    /// Asks, and gives an answer that has no end: a task of its own moves its bytes.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn listen(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        tokio::spawn(self.driver);
        self.sender.send_request(request).await
    }
}

/// A place for one connection. Calls that are made at the same time each open another one, which is closed behind them.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Connection>>>);

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kept")
    }
}

impl Kept {
    /// The connection that waits here, where it still stands.
    pub(crate) fn take(&self) -> Option<Connection> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.filter(Connection::stands)
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(crate) fn put(&self, connection: Connection) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use crate::client::{ClientError, DeskClient};

    /// A daemon that answers each connection so many questions with an empty list, and then closes it. Says when it has
    /// taken a connection, and when it has closed one.
    fn daemon(socket: &Path, questions: Vec<usize>) -> Receiver<&'static str> {
        let listener = UnixListener::bind(socket).unwrap();
        let (said, heard) = channel();
        thread::spawn(move || {
            for questions in questions {
                let (mut stream, _) = listener.accept().unwrap();
                said.send("taken").unwrap();
                for _ in 0..questions {
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        asked.extend(byte);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap();
                }
                drop(stream);
                said.send("closed").unwrap();
            }
        });
        heard
    }

    #[tokio::test]
    async fn calls_share_a_connection_until_the_daemon_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("desk.sock");
        let heard = daemon(&socket, vec![2, 1]);
        let client = DeskClient::new(&socket);
        for _ in 0..2 {
            assert!(client.clone().requests().await.unwrap().is_empty());
        }
        assert_eq!([heard.recv(), heard.recv()], [Ok("taken"), Ok("closed")]);
        assert!(client.requests().await.unwrap().is_empty(), "not on the one that is closed");
        assert_eq!(heard.recv(), Ok("taken"));
    }

    #[tokio::test]
    async fn a_daemon_that_ends_before_its_answer_is_not_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("desk.sock");
        let heard = daemon(&socket, vec![0, 1]);
        let client = DeskClient::new(&socket);
        // It may have recorded what was asked, so whoever asked looks first.
        let answer = client.requests().await;
        assert!(matches!(answer, Err(ClientError::Io(_))), "{answer:?}");
        assert_eq!([heard.recv(), heard.recv()], [Ok("taken"), Ok("closed")]);
        assert!(heard.try_recv().is_err());
        assert!(client.requests().await.unwrap().is_empty());
    }

    /// Each runtime moves the bytes of its own connections only.
    #[test]
    fn a_connection_is_not_used_from_another_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("desk.sock");
        let heard = daemon(&socket, vec![1, 1]);
        let client = DeskClient::new(&socket);
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let runtimes = [runtime(), runtime()];
        for runtime in &runtimes {
            assert!(runtime.block_on(client.requests()).unwrap().is_empty());
        }
        assert_eq!(heard.iter().take(3).collect::<Vec<_>>(), ["taken", "closed", "taken"]);
    }
}
