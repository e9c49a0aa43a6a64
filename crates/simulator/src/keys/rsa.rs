//! An RSA key pair for the simulated service account.
//!
//! ring signs with RSA but cannot make RSA keys, and the `rsa` crate carries
//! an open advisory (RUSTSEC-2023-0071), so the two primes are found here.
//! The key guards nothing: it is handed to whoever asks the simulator for its
//! service account. One key serves all simulators of a process, because
//! finding primes is by far the slowest part of a start.

use std::sync::OnceLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use num_bigint::BigUint;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of each of the two primes: a 2048-bit modulus, as Google issues.
const PRIME_BYTES: usize = 128;
const PUBLIC_EXPONENT: u32 = 65_537;

/// The private key as PEM and the public half as big-endian numbers.
#[derive(Debug)]
pub(super) struct RsaKey {
    /// PKCS#8 PEM, the form of `private_key` in a service-account file.
    pub(super) pkcs8_pem: String,
    pub(super) modulus: Vec<u8>,
    pub(super) exponent: Vec<u8>,
}

/// The process's key, made at the first call.
pub(super) fn process_key() -> &'static RsaKey {
    static KEY: OnceLock<RsaKey> = OnceLock::new();
    KEY.get_or_init(generate)
}

fn generate() -> RsaKey {
    let small_primes = small_primes();
    let (mut p, mut q) = (prime(&small_primes), prime(&small_primes));
    while p == q {
        q = prime(&small_primes);
    }
    // ring wants the larger prime first.
    if p < q {
        std::mem::swap(&mut p, &mut q);
    }
    let one = BigUint::from(1u8);
    let exponent = BigUint::from(PUBLIC_EXPONENT);
    let modulus = &p * &q;
    let (p_less, q_less) = (&p - &one, &q - &one);
    let private = exponent
        .modinv(&(&p_less * &q_less))
        .expect("primes with p mod e = 1 were skipped, so e has an inverse");
    let coefficient = q
        .modinv(&p)
        .expect("different primes have no common factor");
    let numbers = [
        &BigUint::ZERO,
        &modulus,
        &exponent,
        &private,
        &p,
        &q,
        &(&private % &p_less),
        &(&private % &q_less),
        &coefficient,
    ];
    RsaKey {
        pkcs8_pem: pem(&pkcs8(&numbers)),
        modulus: modulus.to_bytes_be(),
        exponent: exponent.to_bytes_be(),
    }
}

/// A random prime with its two highest bits set, so that the product of two has exactly 2048 bits.
fn prime(small_primes: &[u32]) -> BigUint {
    let random = SystemRandom::new();
    loop {
        let mut bytes = [0u8; PRIME_BYTES];
        random
            .fill(&mut bytes)
            .expect("the system's random number generator works");
        bytes[0] |= 0b1100_0000;
        bytes[PRIME_BYTES - 1] |= 1;
        let candidate = BigUint::from_bytes_be(&bytes);
        let divisible = small_primes
            .iter()
            .any(|small| (&candidate % *small) == BigUint::ZERO);
        if !divisible
            && (&candidate % PUBLIC_EXPONENT) != BigUint::from(1u8)
            && is_probably_prime(&candidate)
        {
            return candidate;
        }
    }
}

/// Miller-Rabin with fixed bases: enough for candidates that nobody chose to deceive us.
fn is_probably_prime(candidate: &BigUint) -> bool {
    let one = BigUint::from(1u8);
    let less = candidate - &one;
    let twos = less.trailing_zeros().unwrap_or(0);
    let odd = &less >> twos;
    [2u8, 3, 5, 7, 11].into_iter().all(|base| {
        let mut power = BigUint::from(base).modpow(&odd, candidate);
        if power == one || power == less {
            return true;
        }
        (1..twos).any(|_| {
            power = &power * &power % candidate;
            power == less
        })
    })
}

fn small_primes() -> Vec<u32> {
    (3..2000)
        .step_by(2)
        .filter(|n| (3..).take_while(|d| d * d <= *n).all(|d| n % d != 0))
        .collect()
}

/// PKCS#8 (RFC 5208) around the nine numbers of an RSA private key (RFC 8017 appendix A.1.2).
fn pkcs8(numbers: &[&BigUint]) -> Vec<u8> {
    /// `rsaEncryption` with its NULL parameter.
    const ALGORITHM: [u8; 13] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let integers: Vec<u8> = numbers.iter().flat_map(|n| der_integer(n)).collect();
    let info = [
        der_integer(&BigUint::ZERO),
        der(0x30, &ALGORITHM),
        der(0x04, &der(0x30, &integers)),
    ];
    der(0x30, &info.concat())
}

fn der_integer(number: &BigUint) -> Vec<u8> {
    let mut bytes = number.to_bytes_be();
    // A leading one bit would mean a negative number.
    if bytes[0] & 0x80 != 0 {
        bytes.insert(0, 0);
    }
    der(0x02, &bytes)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = length
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&length[length.len() - 1..], |first| &length[first..]);
    if content.len() >= 0x80 {
        let count = u8::try_from(significant.len()).expect("a length has at most 8 bytes");
        out.push(0x80 | count);
    }
    out.extend_from_slice(significant);
    out.extend_from_slice(content);
    out
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    };
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

    use super::*;

    #[test]
    fn ring_signs_with_the_private_half_and_verifies_with_the_public_one() {
        let key = process_key();
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.pkcs8_pem.as_bytes()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"text",
            &mut signature,
        )
        .unwrap();
        RsaPublicKeyComponents {
            n: &key.modulus,
            e: &key.exponent,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, b"text", &signature)
        .unwrap();
    }
}
