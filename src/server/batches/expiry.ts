import * as z from "zod"

/** When a file is removed, after it was made. */
export const expiry = z.strictObject(
  {
    anchor: z.literal("created_at", { error: "expected created_at" }),
    seconds: z.coerce
      .number({ error: "expected a whole number" })
      .int({ error: "expected a whole number" })
      .min(3600, { error: "expected 3600 (an hour) or more" })
      .max(2_592_000, { error: "expected 2592000 (30 days) or less" }),
  },
  { error: "expected an object with anchor and seconds" },
)
