/** How a vector of keys or values is kept. */
export type KvFormat = "float32" | "float16" | "int8" | "int4"
