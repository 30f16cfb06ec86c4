// SPDX-License-Identifier: BSL-1.0
// Hooks that run in a forked child.
#include "mp/after_fork.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <atomic>
#include <string>
#include <thread>

using namespace mp;

namespace {

std::string& ran() {
    static std::string text;
    return text;
}

}  // namespace

TEST_CASE(
    "after_fork: hooks run in the order of registration, on living objects",
    "[after_fork]"
) {
    register_after_fork([] { ran() += "a"; });
    auto object = std::make_shared<std::string>("b");
    auto gone = std::make_shared<std::string>("c");
    register_after_fork(object, [](std::string& text) { ran() += text; });
    register_after_fork(gone, [](std::string& text) { ran() += text; });
    register_after_fork([] { throw 1; });
    register_after_fork([] { ran() += "d"; });
    gone.reset();
    const int status = test::run_in_fork([] {
        detail::run_after_fork_hooks();
        return ran() == "abd" ? 0 : 1;
    });
    CHECK(status == 0);
    CHECK(ran().empty());
}

TEST_CASE("after_fork: hooks of objects that are gone do not pile up", "[after_fork]") {
    for (int i = 0; i < 10'000; ++i) {
        register_after_fork(std::make_shared<int>(i), [](int&) {});
    }
    CHECK(detail::after_fork_hook_count() < 100);
}

// A sanitizer's own allocator, which the other thread keeps busy, may be locked for
// ever in the child.
TEST_CASE(
    "after_fork: a child forked while others register finds the table free",
    "[after_fork][no-asan][no-tsan]"
) {
    std::atomic<bool> stop = false;
    std::thread registering([&] {
        while (!stop) {
            register_after_fork(std::make_shared<int>(0), [](int&) {});
        }
    });
    int failed = 0;
    for (int i = 0; i < 200; ++i) {
        failed += test::run_in_fork([] {
            ::alarm(20);  // a deadlock ends the child
            register_after_fork(std::make_shared<int>(0), [](int&) {});
            return 0;
        });
    }
    stop = true;
    registering.join();
    CHECK(failed == 0);
}
