//! The socket of whoever answers many: quinn keeps for each connection the room for as many packets as it ever gave to
//! the system at once.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Packets of one connection that the system is given at once, at the most. quinn's own ten are 14 KiB for each desk that
/// was ever told more than a packet; three are 4 KiB, and a large catalogue still leaves with a third of the calls.
const PACKETS_AT_ONCE: usize = 3;

/// A socket that is given few packets at once.
#[derive(Debug)]
pub(crate) struct FewAtOnce(pub(crate) Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for FewAtOnce {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.0.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments().min(PACKETS_AT_ONCE)
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}
