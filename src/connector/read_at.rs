//! Reading at a place of a file, without a cursor that several readers would share.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Appends at most `most` bytes at `offset` of the file; fewer at its end.
pub fn read_at(file: &File, offset: u64, into: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    into.reserve_exact(most);
    loop {
        // The memory is not cleared first: at several GB/s that would show.
        let spare = &mut into.spare_capacity_mut()[..most];
        // SAFETY: `spare` is `most` bytes of memory that is ours to write.
        let read =
            unsafe { libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), most, offset as libc::off_t) };
        if let Ok(read) = usize::try_from(read) {
            // SAFETY: the call has written that many bytes behind the old length.
            unsafe { into.set_len(into.len() + read) };
            return Ok(read);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
