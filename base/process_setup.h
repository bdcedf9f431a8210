#pragma once

// What every program of ours does first, whatever the program that started it left behind.
namespace entrofs {

// Makes this process ready to run, call it before anything else in main:
// - Standard descriptors that are closed lead to /dev/null, so that no file of ours gets their numbers and is taken for
//   the terminal.
// - A file that passes RLIMIT_FSIZE is an error of write(2) (EFBIG), not the signal that ends the process.
// - SIGCHLD has its default action, without which waitpid(2) finds no child, and no signal is blocked.
// - As many descriptors may be open as RLIMIT_NOFILE's hard limit allows, up to 1024.
void SetUpProcess() noexcept;

// Closes every descriptor above the standard ones that was open when this process's program began, with the locks on
// them: they have no close-on-exec flag, and all of ours have. For a process that outlives the command that began it.
void CloseInheritedDescriptors() noexcept;

}  // namespace entrofs
