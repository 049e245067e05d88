/** All that is drawn. */

import { crowdOperations } from "./crowd-operations.ts";
import { descriptorOperations } from "./descriptor-operations.ts";
import { edgeOperations } from "./edge-operations.ts";
import type { Operation } from "./operation.ts";
import { pathOperations } from "./path-operations.ts";
import { sequenceOperations } from "./sequence-operations.ts";

export const operations: Readonly<Record<string, Operation>> = {
	...pathOperations,
	...descriptorOperations,
	...sequenceOperations,
	...edgeOperations,
	...crowdOperations,
};
