use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::UdpSocket;

/// What every name is said to be at (RFC 2544: an address that nobody has). What the command then dials is captured, and known by the name
/// that it says there.
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// How long an answer is good for, in seconds.
const LIFE: u32 = 60;

/// How long answering rests after an error.
const PAUSE: Duration = Duration::from_millis(10);

const HEADER_BYTES: usize = 12;

/// The longest question that is looked at, in bytes (RFC 1035, section 4.2.1).
const QUESTION_BYTES_MAX: usize = 512;

/// Of a type (RFC 1035, section 3.2.2) and the class of the Internet.
const A: [u8; 4] = [0, 1, 0, 1];

/// Answers questions for names until it is dropped: no name is ever looked up for the command.
pub(super) async fn answer(socket: UdpSocket) {
    let mut question = [0; QUESTION_BYTES_MAX];
    loop {
        match socket.recv_from(&mut question).await {
            Ok((length, from)) => {
                if let Some(answer) = question.get(..length).and_then(answer_to) {
                    // Whoever asked may be gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            // What is told here belongs to an answer that nobody took.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The answer to a question; `None` to what is none. IPv4 addresses alone: of everything else there is nothing.
fn answer_to(question: &[u8]) -> Option<Vec<u8>> {
    let header = question.get(..HEADER_BYTES)?;
    let is_question = header.get(2)? & 0xf8 == 0;
    let counts = header.get(4..6)?;
    if !is_question || counts != [0, 1] {
        return None;
    }
    let mut end = HEADER_BYTES;
    loop {
        let length = usize::from(*question.get(end)?);
        end += 1 + length;
        match length {
            0 => break,
            1..64 => {}
            // Nothing stands before a question that it could point to.
            _ => return None,
        }
    }
    let kind = question.get(end..end + 4)?;
    let is_address = kind == A;
    let mut answer = Vec::with_capacity(end + 20);
    answer.extend_from_slice(header.get(..2)?);
    // A response, as recursive as was asked, without error.
    answer.extend_from_slice(&[0x80 | header.get(2)? & 0x01, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend_from_slice(question.get(HEADER_BYTES..end + 4)?);
    if is_address {
        // The name of the question, at offset 12.
        answer.extend_from_slice(&[0xc0, 12]);
        answer.extend_from_slice(&A);
        answer.extend_from_slice(&LIFE.to_be_bytes());
        answer.extend_from_slice(&[0, 4]);
        answer.extend_from_slice(&EVERYWHERE.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: u8) -> Vec<u8> {
        let mut question = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend_from_slice(b"\x03api\x04test\0");
        question.extend_from_slice(&[0, kind, 0, 1]);
        question
    }

    #[test]
    fn every_name_has_one_ipv4_address_and_nothing_else() {
        let answer = answer_to(&question(1)).unwrap();
        assert_eq!(answer[..12], [7, 8, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert!(answer.ends_with(&[0, 4, 198, 18, 0, 1]));
        for other in [28, 65, 16, 255] {
            let answer = answer_to(&question(other)).unwrap();
            assert_eq!((answer[7], answer.len()), (0, question(other).len()));
        }
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let whole = question(1);
        for end in 0..whole.len() {
            assert_eq!(answer_to(&whole[..end]), None, "{end}");
        }
        let mut response = whole.clone();
        response[2] |= 0x80;
        let mut two = whole.clone();
        two[5] = 2;
        let mut pointer = whole;
        pointer[12] = 0xc0;
        for wrong in [response, two, pointer] {
            assert_eq!(answer_to(&wrong), None);
        }
    }
}
