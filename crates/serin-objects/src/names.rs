//! Names that the server makes.

/// Letters of made names: no vowels and no digits that look like letters, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many letters are made.
const SUFFIX: usize = 5;
/// How long a made name may be at most.
const MAX_NAME: usize = 63;

/// `count` random letters. `random(n)` returns a number below n.
pub fn letters(count: usize, random: &mut dyn FnMut(usize) -> usize) -> String {
    let letter = |_| ALPHABET[random(ALPHABET.len()) % ALPHABET.len()] as char;
    (0..count).map(letter).collect()
}

/// The name that `generateName` asks for: the base, cut if it is too long, and five random letters.
pub fn generate(base: &str, random: &mut dyn FnMut(usize) -> usize) -> String {
    let mut end = base.len().min(MAX_NAME - SUFFIX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], letters(SUFFIX, random))
}

/// Letters that stand for a number, as hashes of pod templates are written.
pub fn encode(text: &str) -> String {
    text.bytes().map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_names_are_bases_and_letters_and_never_too_long() {
        let mut next = 0;
        let mut random = |n| {
            next += 1;
            next % n
        };
        assert_eq!(generate("web-", &mut random), "web-cdfgh");
        let long = generate(&"é".repeat(60), &mut random);
        assert!(long.len() <= 63 && long.ends_with("jklmn"), "{long}");
    }
}
