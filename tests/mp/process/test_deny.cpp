// SPDX-License-Identifier: BSL-1.0
// Older kernels and sandboxes: a call that is refused is named in one sentence, at the
// first use, and nothing hangs; and a program that is started in unusual ways.
#include "mp/context.hpp"
#include "mp/queue.hpp"

#include "support/catch.hpp"
#include "support/deny_call.hpp"
#include "support/fork_child.hpp"
#include "support/program.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

using namespace std::chrono_literals;

namespace {

void wait_to_be_ended() {
    ::pause();
}

void put_one(mp::Queue<int> queue) {
    queue.put(1);
}

/// A child that is ended by a signal, and one that answers over a queue.
bool everything_works(const mp::Context& context) {
    auto idle = context.Process(wait_to_be_ended);
    idle.start();
    idle.terminate();
    idle.join();
    auto queue = context.Queue<int>();
    auto busy = context.Process(put_one, queue);
    busy.start();
    const int got = queue.get(30s);
    busy.join();
    return idle.exitcode() == -SIGTERM && got == 1 && busy.exitcode() == 0;
}

enum Outcome { works = 0, is_told = 1, is_obscure = 2, is_wrong = 3 };

int outcome_without(
    long call, int error, const std::string& name, mp::Context context
) {
    return test::run_in_fork_for(50s, [&] {
        test::deny_call(call, error);
        try {
            return everything_works(context) ? works : is_wrong;
        } catch (const std::exception& failed) {
            const std::string text = failed.what();
            const bool told = text.find(name + "() is needed, which Linux has since") !=
                              std::string::npos;
            if (!told) {
                std::fprintf(stderr, "%s: %s\n", name.c_str(), text.c_str());
            }
            return told ? is_told : is_obscure;
        }
    });
}

}  // namespace

// A sanitizer's own calls would be refused, too.
TEST_CASE("deny: what the library cannot do without is named", "[no-asan][no-tsan]") {
    struct Call {
        long number;
        const char* name;
    };
    const auto context = each_start_method();
    const int error = GENERATE(ENOSYS, EPERM);
    const Call call = GENERATE(
        Call{SYS_pidfd_open, "pidfd_open"},
        Call{SYS_waitid, "waitid(P_PIDFD)"},
        Call{SYS_memfd_create, "memfd_create"},
        Call{SYS_pipe2, "pipe2"}
    );
    CAPTURE(call.name, error);
    CHECK(outcome_without(call.number, error, call.name, context) == is_told);
}

TEST_CASE(
    "deny: without pidfd_send_signal() children are signalled all the same",
    "[no-asan][no-tsan]"
) {
    const auto context = each_start_method();
    const int error = GENERATE(ENOSYS, EPERM);
    const long call = GENERATE(SYS_pidfd_send_signal, SYS_close_range);
    CHECK(outcome_without(call, error, "", context) == works);
}

TEST_CASE(
    "deny: started by the loader, a program starts children", "[no-asan][no-tsan]"
) {
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    CAPTURE(method);
    Dl_info loader{};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel passes it
    REQUIRE(::dladdr(reinterpret_cast<void*>(::getauxval(AT_BASE)), &loader) != 0);
    const test::TempDir dir;
    const auto finished = test::run(
        {loader.dli_fname, STATIC_OBJECT, method},
        {.set_environment = {"NOTES=" + (dir.path() / "notes").string()}}
    );
    CHECK(finished.err.empty());
    CHECK(finished.status == 0);
}

TEST_CASE("deny: without /proc a program starts children", "[no-asan][no-tsan]") {
    if (test::run({"unshare", "-m", "umount", "-l", "/proc"}).status != 0) {
        WARN("skipped: a mount namespace needs root");
        return;
    }
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    CAPTURE(method);
    const test::TempDir dir;
    const auto finished = test::run(
        {"unshare",
         "-m",
         "sh",
         "-c",
         "umount -l /proc && exec \"$0\" \"$1\"",
         STATIC_OBJECT,
         method},
        {.set_environment = {"NOTES=" + (dir.path() / "notes").string()}}
    );
    CHECK(finished.err.empty());
    CHECK(finished.status == 0);
}
