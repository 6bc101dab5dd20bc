//! Descriptors passed from one process to another over a socket (`SCM_RIGHTS`, unix(7)), each with one byte that means nothing.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sends one.
pub(crate) fn send(socket: impl AsFd, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let descriptors = [descriptor];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // There is room for one, and one is put there.
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives the next byte, if there is one before the end, and the descriptor that comes with it.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<(Option<u8>, Option<OwnedFd>)> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    let received = recvmsg(socket, buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(((received.bytes == 1).then_some(byte[0]), descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_descriptor_arrives_before_what_was_written_after_it() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        send(&ours, far.as_fd()).unwrap();
        drop(far);
        ours.write_all(b"x").unwrap();
        let (byte, descriptor) = receive(&theirs).unwrap();
        assert_eq!(byte, Some(0));
        UnixStream::from(descriptor.unwrap()).write_all(b"hello").unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        let mut rest = [0];
        theirs.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"x");
    }

    #[test]
    fn bytes_arrive_without_a_descriptor_and_the_end_without_either() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"x").unwrap();
        let (byte, descriptor) = receive(&theirs).unwrap();
        assert!((byte, descriptor.is_none()) == (Some(b'x'), true));
        drop(ours);
        let (byte, descriptor) = receive(&theirs).unwrap();
        assert!((byte, descriptor.is_none()) == (None, true));
    }
}
