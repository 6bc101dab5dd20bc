//! Sets of code points: what stands in brackets and behind `\d`, `\pL` and the like.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use crate::ast::{MAX_RUNE, Rune};

/// The range of code points that UTF-8 has no encoding for.
pub(crate) const SURROGATES: (Rune, Rune) = (0xD800, 0xDFFF);

/// Which of the code points above ASCII are in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Above {
    None,
    Some,
    All,
}

/// How many ranges a set may collect before they are joined; keeps `[\pL\pL…]` small.
const MANY: usize = 10_000;

/// A set of code points, as sorted ranges that neither touch nor overlap once [`normalized`](RuneSet::normalize).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RuneSet {
    ranges: Vec<(Rune, Rune)>,
}

impl RuneSet {
    pub(crate) fn push(&mut self, low: Rune, high: Rune) {
        self.ranges.push((low, high));
    }

    /// Adds a range and, if `fold`, everything equal to a member under Unicode's simple case folding.
    pub(crate) fn push_folded(&mut self, low: Rune, high: Rune, fold: bool) {
        self.push(low, high);
        if !fold {
            return;
        }
        if high <= 0x7F {
            self.fold_ascii(low, high);
        } else {
            self.extend_unicode(&folded(&[(low, high)]));
        }
    }

    fn fold_ascii(&mut self, low: Rune, high: Rune) {
        for (from, to, other) in [(0x41, 0x5A, 0x61), (0x61, 0x7A, 0x41)] {
            let (first, last) = (low.max(from), high.min(to));
            if first <= last {
                self.push(first - from + other, last - from + other);
                // The two ASCII letters that fold to something outside ASCII: the Kelvin sign and the long s.
                for (letter, twin) in [(0x4B, 0x212A), (0x53, 0x17F)] {
                    if (first..=last).contains(&(letter - 0x41 + from)) {
                        self.push(twin, twin);
                    }
                }
            }
        }
    }

    fn extend_unicode(&mut self, class: &ClassUnicode) {
        self.ranges
            .extend(class.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))));
    }

    /// Adds a predefined class (or, if `negated`, what is not in it), folded first if `fold`.
    pub(crate) fn extend(&mut self, other: &[(Rune, Rune)], negated: bool, fold: bool) {
        let mut class = Self { ranges: other.to_vec() };
        if fold {
            class.extend_unicode(&folded(other));
        }
        if negated {
            class.negate();
        }
        self.ranges.append(&mut class.ranges);
        if self.ranges.len() > MANY {
            self.normalize();
        }
    }

    /// Sorts the ranges and joins those that touch.
    pub(crate) fn normalize(&mut self) {
        if self.ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0) {
            return;
        }
        self.ranges.sort_unstable();
        let mut kept = 0;
        for next in 1..self.ranges.len() {
            let (low, high) = self.ranges[next];
            let last = &mut self.ranges[kept];
            if low <= last.1 + 1 {
                last.1 = last.1.max(high);
            } else {
                kept += 1;
                self.ranges[kept] = (low, high);
            }
        }
        self.ranges.truncate(kept + 1);
    }

    /// Turns the set into its complement.
    pub(crate) fn negate(&mut self) {
        self.normalize();
        let mut next = 0;
        let mut gaps = Vec::with_capacity(self.ranges.len() + 1);
        for &(low, high) in &self.ranges {
            if next < low {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= MAX_RUNE {
            gaps.push((next, MAX_RUNE));
        }
        self.ranges = gaps;
    }

    /// The normalized ranges.
    pub(crate) fn ranges(&self) -> &[(Rune, Rune)] {
        &self.ranges
    }

    /// The only member, if there is exactly one.
    pub(crate) fn single(&self) -> Option<Rune> {
        match self.ranges[..] {
            [(low, high)] if low == high => Some(low),
            _ => None,
        }
    }

    /// The ASCII members, one bit each.
    pub(crate) fn ascii(&self) -> u128 {
        self.ranges.iter().take_while(|range| range.0 <= 0x7F).fold(0, |bits, &(low, high)| {
            let up_to = u128::MAX >> (127 - high.min(0x7F));
            bits | up_to & (u128::MAX << low)
        })
    }

    /// Which code points above ASCII are members.
    pub(crate) fn above(&self) -> Above {
        match self.ranges.last() {
            Some(_) if self.has_all_above_ascii() => Above::All,
            Some(&(_, high)) if high > 0x7F => Above::Some,
            _ => Above::None,
        }
    }

    /// Whether every code point above ASCII is a member.
    pub(crate) fn has_all_above_ascii(&self) -> bool {
        self.ranges.last().is_some_and(|&(low, high)| low <= 0x80 && high == MAX_RUNE)
    }
}

/// The ranges without surrogates, which fold to nothing, and everything equal to a member under simple case folding.
fn folded(ranges: &[(Rune, Rune)]) -> ClassUnicode {
    let scalars = ranges
        .iter()
        .flat_map(|&(low, high)| {
            [(low, high.min(SURROGATES.0 - 1)), (low.max(SURROGATES.1 + 1), high)]
        })
        .filter(|(low, high)| low <= high)
        .filter_map(|(low, high)| {
            Some(ClassUnicodeRange::new(char::from_u32(low)?, char::from_u32(high)?))
        });
    let mut class = ClassUnicode::new(scalars);
    class.case_fold_simple();
    class
}

/// `\d`, `\s`, `\w` and their complements: ASCII only in RE2. The letter's case says which.
pub(crate) fn perl(letter: u8) -> Option<(&'static [(Rune, Rune)], bool)> {
    let ranges: &[_] = match letter.to_ascii_lowercase() {
        b'd' => &[(0x30, 0x39)],
        // Without the vertical tab, unlike `[:space:]`.
        b's' => &[(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)],
        b'w' => WORD,
        _ => return None,
    };
    Some((ranges, letter.is_ascii_uppercase()))
}

const WORD: &[(Rune, Rune)] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];

/// The class `[:name:]`, and whether it is negated as in `[:^name:]`.
pub(crate) fn posix(name: &str) -> Option<(&'static [(Rune, Rune)], bool)> {
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let ranges: &[_] = match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
        "alpha" => &[(0x41, 0x5A), (0x61, 0x7A)],
        "ascii" => &[(0, 0x7F)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7E)],
        "lower" => &[(0x61, 0x7A)],
        "print" => &[(0x20, 0x7E)],
        "punct" => &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
        "space" => &[(0x09, 0x0D), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5A)],
        "word" => WORD,
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    };
    Some((ranges, negated))
}

/// The class `\p{name}`: a general category by its short name, a script by its long name, or `Any`.
///
/// RE2 compares names exactly; the tables used here compare them loosely, so the names are checked first.
pub(crate) fn unicode(name: &str) -> Option<Vec<(Rune, Rune)>> {
    let query = |property: &str, value: &str| {
        let hir = regex_syntax::parse(&format!("\\p{{{property}={value}}}")).ok()?;
        let mut set = RuneSet::default();
        match hir.into_kind() {
            HirKind::Class(Class::Unicode(class)) => set.extend_unicode(&class),
            // Categories with one member.
            HirKind::Literal(literal) => {
                let rune = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
                set.push(u32::from(rune), u32::from(rune));
            }
            _ => return None,
        }
        Some(set.ranges)
    };
    match name {
        "Any" => Some(vec![(0, MAX_RUNE)]),
        "Cs" => Some(vec![SURROGATES]),
        // RE2's `C` has the assigned code points only.
        "C" => {
            let mut ranges = vec![SURROGATES];
            for part in ["Cc", "Cf", "Co"] {
                ranges.extend(query("gc", part)?);
            }
            Some(ranges)
        }
        _ if CATEGORIES.contains(&name) => query("gc", name),
        _ if SCRIPTS.binary_search(&name).is_ok() => query("sc", name),
        _ => None,
    }
}

const CATEGORIES: &[&str] = &[
    "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl",
    "Zp", "Zs",
];

/// The scripts of Unicode 16 under their canonical names, sorted.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese",
    "Bamum", "Bassa_Vah", "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi", "Braille",
    "Buginese", "Buhid", "Canadian_Aboriginal", "Carian", "Caucasian_Albanian", "Chakma", "Cham",
    "Cherokee", "Chorasmian", "Common", "Coptic", "Cuneiform", "Cypriot", "Cypro_Minoan",
    "Cyrillic", "Deseret", "Devanagari", "Dives_Akuru", "Dogra", "Duployan",
    "Egyptian_Hieroglyphs", "Elbasan", "Elymaic", "Ethiopic", "Garay", "Georgian", "Glagolitic",
    "Gothic", "Grantha", "Greek", "Gujarati", "Gunjala_Gondi", "Gurmukhi", "Gurung_Khema", "Han",
    "Hangul", "Hanifi_Rohingya", "Hanunoo", "Hatran", "Hebrew", "Hiragana", "Imperial_Aramaic",
    "Inherited", "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Kaithi",
    "Kannada", "Katakana", "Kawi", "Kayah_Li", "Kharoshthi", "Khitan_Small_Script", "Khmer",
    "Khojki", "Khudawadi", "Kirat_Rai", "Lao", "Latin", "Lepcha", "Limbu", "Linear_A", "Linear_B",
    "Lisu", "Lycian", "Lydian", "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean",
    "Marchen", "Masaram_Gondi", "Medefaidrin", "Meetei_Mayek", "Mende_Kikakui",
    "Meroitic_Cursive", "Meroitic_Hieroglyphs", "Miao", "Modi", "Mongolian", "Mro", "Multani",
    "Myanmar", "Nabataean", "Nag_Mundari", "Nandinagari", "New_Tai_Lue", "Newa", "Nko", "Nushu",
    "Nyiakeng_Puachue_Hmong", "Ogham", "Ol_Chiki", "Ol_Onal", "Old_Hungarian", "Old_Italic",
    "Old_North_Arabian", "Old_Permic", "Old_Persian", "Old_Sogdian", "Old_South_Arabian",
    "Old_Turkic", "Old_Uyghur", "Oriya", "Osage", "Osmanya", "Pahawh_Hmong", "Palmyrene",
    "Pau_Cin_Hau", "Phags_Pa", "Phoenician", "Psalter_Pahlavi", "Rejang", "Runic", "Samaritan",
    "Saurashtra", "Sharada", "Shavian", "Siddham", "SignWriting", "Sinhala", "Sogdian",
    "Sora_Sompeng", "Soyombo", "Sundanese", "Sunuwar", "Syloti_Nagri", "Syriac", "Tagalog",
    "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Takri", "Tamil", "Tangsa", "Tangut", "Telugu",
    "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Todhri", "Toto", "Tulu_Tigalari",
    "Ugaritic", "Vai", "Vithkuqi", "Wancho", "Warang_Citi", "Yezidi", "Yi", "Zanabazar_Square",
];
