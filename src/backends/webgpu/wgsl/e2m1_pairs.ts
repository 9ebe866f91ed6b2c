/**
 * The shifts that take nibbles k and k + 4 of a word to a pair of f16 of the same values times 2^-14: the magnitudes' bits to
 * 11..9 of each half, the signs' to the top; then {@link MAGNITUDES} and {@link SIGNS}.
 */
export const E2M1_PAIRS: readonly (readonly [magnitudes: string, signs: string])[] = [
  ["<< 9u", "<< 12u"],
  ["<< 5u", "<< 8u"],
  ["<< 1u", "<< 4u"],
  [">> 3u", ""],
]

export const MAGNITUDES = "0x0e000e00u"
export const SIGNS = "0x80008000u"
