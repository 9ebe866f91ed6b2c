/** Element types by MLX's names. Float types that JavaScript lacks (bfloat16, float8_*) are stored as raw bits. */
export type DType =
  | "bool"
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "float8_e4m3"
  | "float8_e5m2"
  | "float8_e8m0"
  | "float16"
  | "bfloat16"
  | "float32"
  | "float64"

const ITEM_SIZE: Record<DType, number> = {
  bool: 1,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float8_e4m3: 1,
  float8_e5m2: 1,
  float8_e8m0: 1,
  float16: 2,
  bfloat16: 2,
  float32: 4,
  float64: 8,
}

/** Bytes per element. */
export function itemSize(dtype: DType): number {
  return ITEM_SIZE[dtype]
}
