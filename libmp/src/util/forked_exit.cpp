// SPDX-License-Identifier: BSL-1.0
// How a forked child ends. It must not end by the C library's exit(): that runs the
// destructors of the parent's thread_locals, then the parent's exit handlers and static
// objects, and takes locks that another thread of the parent may have held at the fork,
// and that nobody releases here.
//
// So exit() of this program is the one below. In a forked child it goes its own way, in
// the order of an ordinary end: what the child made since the fork, the library's exit
// step, the text in its streams, _exit(). In every other process it is the C library's.
#include "os/pidfd.hpp"
#include "os/stream_text.hpp"
#include "util/exit_function.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cxxabi.h>

// In a program built to count what runs, and to look for leaks: what exit() would do.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
[[gnu::weak]] void __gcov_dump();
[[gnu::weak]] void __gcov_exit();
[[gnu::weak]] int __llvm_profile_write_file();
[[gnu::weak]] void __lsan_do_leak_check();

// The C library's, which no header of its own declares; of the C++ libraries' headers
// GCC's does, and clang's does not.
int __cxa_atexit(void (*)(void*), void*, void*) noexcept;
void __cxa_finalize(void*);
}

namespace mp::detail {
namespace {

// Set in a forked child, by its only thread.
bool forked_child = false;
bool alone = false;
bool looks_for_leaks = false;
// What this child made is gone, and the next exit handler would be its parent's.
std::atomic<bool> own_are_gone{false};

std::atomic<int> exit_code{os::unknown_code};
// The thread that ends this process; others may call exit() at the same time.
std::atomic<pid_t> ending_thread{0};

void write_out_counters() noexcept {
    if (__gcov_dump != nullptr) {
        __gcov_dump();
    } else if (__gcov_exit != nullptr) {
        __gcov_exit();
    }
    if (__llvm_profile_write_file != nullptr) {
        __llvm_profile_write_file();
    }
}

[[noreturn]] void finish() noexcept {
    own_are_gone = true;
    run_exit_step();
    os::write_out_streams();
    write_out_counters();
    if (looks_for_leaks && __lsan_do_leak_check != nullptr) {
        __lsan_do_leak_check();
    }
    ::_exit(exit_code.load());
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

// The exit handlers and static objects that are younger than this child; the next one
// would be end_of_own_statics().
[[noreturn]] void finish_with_statics() noexcept {
    if (alone && !own_are_gone) {
        ::__cxa_finalize(nullptr);
    }
    finish();
}

void end_of_own_statics(void*) {
    finish();
}

void end_of_own_statics_in_exit(int code, void*) {
    exit_code = code;
    finish();
}

// The thread_locals of this thread that follow are its parent's.
void end_of_own_thread_locals(void*) {
    finish_with_statics();
}

using Exit = void (*)(int);

Exit find_exit() noexcept {
    return reinterpret_cast<Exit>(::dlsym(RTLD_NEXT, "exit"));
}

// Looked for while the program is loaded, which spares each child that.
const Exit exit_found_early = find_exit();

[[noreturn]] void exit_of_c_library(int code) noexcept {
    const Exit exit = exit_found_early != nullptr ? exit_found_early : find_exit();
    if (exit != nullptr) {
        exit(code);
    }
    ::_exit(code);
}

bool runs_here(pid_t thread) noexcept {
    return ::syscall(SYS_tgkill, ::getpid(), thread, 0) == 0;
}

[[noreturn]] void end_forked_child(int code) noexcept {
    const pid_t me = ::gettid();
    pid_t ending = 0;
    while (!ending_thread.compare_exchange_strong(ending, me) && ending != me) {
        while (runs_here(ending)) {
            ::pause();
        }
    }
    const bool again = ending == me;  // a handler calls exit()
    exit_code = code;
    if (alone && !again) {
        // The destructors of this thread's own thread_locals can be had from it alone.
        exit_of_c_library(code);
    }
    finish_with_statics();
}

}  // namespace

void own_exit_of_forked_child(bool was_alone) {
    static int anchor = 0;  // names this module to the functions below
    inherit_exit_step();
    exit_code = os::unknown_code;
    ending_thread = 0;
    own_are_gone = false;
    forked_child = true;
    looks_for_leaks = false;
    const bool guarded =
        abi::__cxa_thread_atexit(end_of_own_thread_locals, nullptr, &anchor) == 0;
    // Only one thread in the parent: the list of exit handlers is whole and unlocked.
    alone = guarded && was_alone &&
            ::__cxa_atexit(end_of_own_statics, nullptr, &anchor) == 0 &&
            ::on_exit(end_of_own_statics_in_exit, nullptr) == 0;
}

void look_for_leaks_at_end() noexcept {
    looks_for_leaks = true;
}

void leave(int code) noexcept {
    if (forked_child) {
        end_forked_child(code);
    }
    exit_of_c_library(code);
}

}  // namespace mp::detail

extern "C" [[gnu::visibility("default")]] void exit(int code) noexcept {
    mp::detail::leave(code);
}
