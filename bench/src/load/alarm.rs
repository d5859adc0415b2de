//! Waiting until a moment, to the microsecond: the runtime's own timer rounds up to a whole millisecond, more than a proxy adds.

use std::io;
use std::os::fd::AsFd;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::Pace;

/// The alarm of one lane.
pub(super) enum Alarm {
    /// A timer descriptor of the kernel's: to the reactor something to read from, as a pipe is.
    Kernel(pipe::Receiver),
    /// None: every moment is now.
    None,
    /// The runtime's: for tests, in which time is paused.
    #[cfg(test)]
    Runtime,
}

impl Alarm {
    /// What a pace needs: in a closed loop nobody waits.
    pub(super) fn for_pace(pace: Pace) -> io::Result<Self> {
        match pace {
            Pace::Closed => Ok(Self::None),
            Pace::Constant(_) => Self::kernel(),
        }
    }

    fn kernel() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self::Kernel(pipe::Receiver::from_owned_fd_unchecked(timer)?))
    }

    /// Returns at that moment, at once where it has passed.
    pub(super) async fn until(&self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        match self {
            Self::None => {}
            Self::Kernel(timer) => {
                let it_value = Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
                let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
                timerfd_settime(timer.as_fd(), TimerfdTimerFlags::empty(), &once)?;
                // Reading it is what stills it; until it has rung there is nothing to read.
                while timer.try_read(&mut [0; 8]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    timer.readable().await?;
                }
            }
            #[cfg(test)]
            Self::Runtime => tokio::time::sleep_until(moment).await,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_again_and_again_and_never_early() {
        let alarm = Alarm::kernel().unwrap();
        for _ in 0..3 {
            let moment = Instant::now() + Duration::from_micros(300);
            alarm.until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
        alarm.until(Instant::now() - Duration::from_secs(1)).await.unwrap();
    }
}
