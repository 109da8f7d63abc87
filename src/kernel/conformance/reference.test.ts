import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { conform } from "./suite.ts";

// The bits agree trivially; that it writes nothing outside its outputs does not.
conform("reference", openReferenceBackend, { casesPerOperation: 24 });
