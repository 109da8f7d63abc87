import * as v from "valibot";
import { memberMaximum } from "#src/cluster/bounds.ts";
import { shapes } from "#src/cluster/event.ts";

/** What `cluster/admit` answers: enough to take part. */
export const admissionSchema = v.strictObject({
  mesh: shapes.name,
  /** The one voter with which the mesh's log began. */
  founder: shapes.name,
  /** Where the admission stands in the log. */
  index: shapes.count,
  members: v.pipe(
    v.array(v.strictObject({ node: shapes.name, contact: shapes.contact })),
    v.maxLength(memberMaximum),
  ),
});
