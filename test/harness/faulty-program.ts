/** The program with a bug in it: whatever needs the place of a file called "bug" on disk fails by a TypeError. */
import { readString } from "../../src/native/memory.ts";
import { Overlay } from "../../src/overlay/overlay.ts";

const locate = Overlay.prototype.locate;
Overlay.prototype.locate = function (node) {
	if (readString(this.nodes.name(node)) === "bug") throw new TypeError("a bug");
	return locate.call(this, node);
};
await import("../../src/main.ts");
