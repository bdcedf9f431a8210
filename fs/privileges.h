#pragma once

namespace entrofs::fs {

// Gives up what serving a mount does not need: core dumps and debuggers (unless `keeps_core_dumps`), descriptors beyond
// a thousand and, as root, every capability but those to mount, to unmount and to look up paths, and for good: nothing
// this process starts can regain them. Ordinary users keep the right to start fusermount3, which is how they unmount.
// Holds for the calling thread and those it starts: call before any other thread is.
void DropPrivileges(bool keeps_core_dumps);

}  // namespace entrofs::fs
