//! Secrets lie in pages of their own: `memfd_secret` where the kernel has it (then not even root's debugger reads them), else locked
//! against swapping; never in a core file, never in a child.

use std::ffi::c_void;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keygress_policy::material::{self, Kept};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use zeroize::{Zeroize, Zeroizing};

use super::Measure;

/// What is taken from the kernel at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a secret takes is rounded up to this, in bytes.
const GRAIN_BYTES: usize = 64;

const GRAINS: usize = CHUNK_BYTES / GRAIN_BYTES;

static ARENA: Mutex<Vec<Chunk>> = Mutex::new(Vec::new());

/// The weakest kind of memory that a secret has got so far.
static WEAKEST: AtomicU8 = AtomicU8::new(Kind::Secret as u8);

/// How memory is protected, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Kind {
    /// `memfd_secret`: the kernel itself has no mapping of it.
    Secret,
    /// Never swapped.
    Locked,
    /// The limit of locked memory is used up.
    Ordinary,
}

/// From now on every new secret of this process is kept here.
pub fn install() {
    material::keep_with(keep);
}

/// What kind of memory secrets get now.
pub(super) fn measure() -> Measure {
    let probe = keep(Zeroizing::new(vec![1]));
    drop(probe);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    let limit = limit.map_or("no limit".to_owned(), |bytes| format!("{} KiB at most", bytes / 1024));
    match WEAKEST.load(Ordering::Relaxed) {
        kind if kind == Kind::Secret as u8 => {
            Measure::enforced("secret memory", format!("memfd_secret: no other process reads it ({limit})"))
        }
        kind if kind == Kind::Locked as u8 => {
            Measure::enforced("secret memory", format!("locked: never swapped; this kernel has no memfd_secret ({limit})"))
        }
        _ => Measure::missing("secret memory", format!("the limit of locked memory is used up (RLIMIT_MEMLOCK: {limit})")),
    }
}

fn keep(bytes: Zeroizing<Vec<u8>>) -> Kept {
    match Block::of(&bytes) {
        Some(block) => Box::new(block),
        // Where there is no memory at all the heap is the last place that may have some.
        None => Box::new(bytes),
    }
}

/// The place of one secret. Wiped and given back when it is dropped.
struct Block {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a block is the only owner of its bytes, which are written in `Block::of` alone, before anybody else has it.
unsafe impl Send for Block {}
// SAFETY: as above: shared blocks are only read.
unsafe impl Sync for Block {}

impl Block {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut block = Self::empty(bytes.len())?;
        block.as_mut().copy_from_slice(bytes);
        Some(block)
    }

    fn empty(bytes: usize) -> Option<Self> {
        let grains = bytes.div_ceil(GRAIN_BYTES).max(1);
        let mut chunks = arena();
        let found = chunks.iter_mut().find_map(|chunk| chunk.take(grains));
        let start = match found {
            Some(start) => start,
            None => {
                let mut chunk = Chunk::map(grains.div_ceil(GRAINS) * GRAINS).ok()?;
                WEAKEST.fetch_max(chunk.kind as u8, Ordering::Relaxed);
                let start = chunk.take(grains)?;
                chunks.push(chunk);
                start
            }
        };
        Some(Self { start, bytes })
    }

    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` points to `bytes` bytes that the chunk gave to this block alone; they are mapped until it gives them back.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as in `as_mut`; nobody writes while the block is shared.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.as_mut().zeroize();
        let grains = self.bytes.div_ceil(GRAIN_BYTES).max(1);
        let mut chunks = arena();
        if let Some(at) = chunks.iter().position(|chunk| chunk.grain_of(self.start).is_some())
            && let Some(chunk) = chunks.get_mut(at)
        {
            chunk.give_back(self.start, grains);
            // One chunk is kept for the next secret.
            if chunk.is_empty() && chunks.len() > 1 {
                chunks.swap_remove(at);
            }
        }
    }
}

fn arena() -> MutexGuard<'static, Vec<Chunk>> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pages from the kernel, and which grains of them are taken.
struct Chunk {
    start: NonNull<u8>,
    kind: Kind,
    taken: Vec<bool>,
}

// SAFETY: a chunk is an address range that it alone unmaps; it is used under the lock of the arena.
unsafe impl Send for Chunk {}

impl Chunk {
    fn map(grains: usize) -> io::Result<Self> {
        let bytes = grains * GRAIN_BYTES;
        let (start, kind) = match secret_pages(bytes) {
            Ok(start) => (start, Kind::Secret),
            Err(_) => ordinary_pages(bytes)?,
        };
        for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
            // SAFETY: the pages are ours, and neither advice changes what they hold. A kernel that does not know it leaves the rest.
            let _ = unsafe { madvise(start, bytes, advice) };
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, kind, taken: vec![false; grains] })
    }

    /// Takes that many grains in a row.
    fn take(&mut self, grains: usize) -> Option<NonNull<u8>> {
        let at = self.taken.windows(grains).position(|row| row.iter().all(|taken| !taken))?;
        self.taken.iter_mut().skip(at).take(grains).for_each(|taken| *taken = true);
        // SAFETY: `at` is below the number of grains, so the address is inside the chunk.
        Some(unsafe { self.start.add(at * GRAIN_BYTES) })
    }

    fn give_back(&mut self, start: NonNull<u8>, grains: usize) {
        let at = self.grain_of(start).unwrap_or(usize::MAX);
        self.taken.iter_mut().skip(at).take(grains).for_each(|taken| *taken = false);
    }

    fn grain_of(&self, start: NonNull<u8>) -> Option<usize> {
        let offset = start.addr().get().checked_sub(self.start.addr().get())?;
        (offset < self.taken.len() * GRAIN_BYTES).then_some(offset / GRAIN_BYTES)
    }

    fn is_empty(&self) -> bool {
        self.taken.iter().all(|taken| !taken)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: no block is left in it, and the range is the one that was mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.taken.len() * GRAIN_BYTES) };
    }
}

/// Pages that only this process maps; the kernel takes them out of its own map too. They count as locked.
fn secret_pages(bytes: usize) -> io::Result<*mut c_void> {
    // SAFETY: the call takes one flag and returns a new descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the descriptor is new and nobody else's.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    rustix::fs::ftruncate(&file, bytes as u64)?;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let start = unsafe { mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0) }?;
    Ok(start)
}

fn ordinary_pages(bytes: usize) -> io::Result<(*mut c_void, Kind)> {
    // SAFETY: a new mapping at an address that the kernel chooses.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
    // SAFETY: the range was mapped just now.
    let locked = unsafe { mlock(start, bytes) };
    Ok((start, if locked.is_ok() { Kind::Locked } else { Kind::Ordinary }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_every_size_are_kept_apart_and_wiped() {
        let kept: Vec<_> = [0, 1, 63, 64, 65, 4096, CHUNK_BYTES, 3 * CHUNK_BYTES + 1]
            .into_iter()
            .enumerate()
            .map(|(number, bytes)| (number as u8 + 1, Block::of(&vec![number as u8 + 1; bytes]).unwrap()))
            .collect();
        for (number, block) in &kept {
            assert!(block.as_ref().iter().all(|byte| byte == number), "{number}");
        }
    }

    #[test]
    fn what_is_dropped_is_wiped_and_its_place_used_again() {
        // A chunk of its own: other tests use the arena at the same time.
        let mut chunk = Chunk::map(GRAINS).unwrap();
        let first = chunk.take(2).unwrap();
        let second = chunk.take(GRAINS - 2).unwrap();
        assert!(chunk.take(1).is_none() && first != second);
        chunk.give_back(first, 2);
        assert_eq!(chunk.take(2), Some(first));
        chunk.give_back(first, 2);
        chunk.give_back(second, GRAINS - 2);
        assert!(chunk.is_empty());
    }

    #[test]
    fn this_kernel_gives_memory_that_nobody_else_reads() {
        let mut chunk = Chunk::map(GRAINS).unwrap();
        let start = chunk.take(1).unwrap();
        let mut read = [0_u8; 8];
        let (local, remote) = (
            libc::iovec { iov_base: read.as_mut_ptr().cast(), iov_len: read.len() },
            libc::iovec { iov_base: start.as_ptr().cast(), iov_len: read.len() },
        );
        // SAFETY: both vectors describe memory of this process: eight bytes to write, eight to read.
        let got = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
        match chunk.kind {
            Kind::Secret => assert_eq!(got, -1, "the kernel itself cannot reach it"),
            Kind::Locked | Kind::Ordinary => assert_eq!(got, 8),
        }
    }
}
