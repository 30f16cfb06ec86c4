// SPDX-License-Identifier: BSL-1.0
// Finalize: callbacks at the end of an object, or of the process.
#include "mp/finalize.hpp"

#include "os/pipe.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "util/exit_function.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace mp;

TEST_CASE(
    "Finalize: at its owner's end, when called, at exit by priority", "[finalize]"
) {
    std::vector<std::string> ran;
    const auto note = [&](const char* name) {
        return [&ran, name] {
            ran.emplace_back(name);
        };
    };
    { const Finalize a(note("a")); }
    Finalize b(note("b"));
    CHECK(b());
    CHECK_FALSE(b());
    Finalize c(note("c"));
    const Finalize d10(note("d10"), 1);
    const Finalize d01(note("d01"), 0);
    const Finalize d02(note("d02"), 0);
    const Finalize d03(note("d03"), 0);
    const Finalize e(note("e"), -10);
    detail::run_finalizers(0);
    CHECK(ran == std::vector<std::string>{"a", "b", "d10", "d03", "d02", "d01"});
    CHECK(e.still_active());
    detail::run_finalizers(std::nullopt);
    CHECK(ran == std::vector<std::string>{"a", "b", "d10", "d03", "d02", "d01", "e"});
    CHECK(c.still_active());
    c.cancel();
}

TEST_CASE("Finalize: a cancelled one never runs", "[finalize]") {
    int runs = 0;
    {
        Finalize f([&] { ++runs; }, 5);
        CHECK(f.still_active());
        f.cancel();
        CHECK_FALSE(f.still_active());
        CHECK_FALSE(f());
        f.cancel();
    }
    detail::run_finalizers(std::nullopt);
    CHECK(runs == 0);
}

TEST_CASE("Finalize: a moved handle takes the callback along", "[finalize]") {
    std::string ran;
    {
        Finalize a([&] { ran += "a"; });
        Finalize b(std::move(a));
        CHECK(b.still_active());
        b = Finalize([&] { ran += "b"; });
        CHECK(ran == "a");
    }
    CHECK(ran == "ab");
}

TEST_CASE(
    "Finalize: exceptions pass out of a call and are logged elsewhere", "[finalize]"
) {
    Finalize called([] { throw std::runtime_error("expected by the caller"); });
    CHECK_THROWS_AS(called(), std::runtime_error);
    CHECK_FALSE(called.still_active());
    int ran = 0;
    const Finalize last([&] { ++ran; }, 1);
    const Finalize first([] { throw std::runtime_error("a test's own"); }, 2);
    const Finalize odd([] { throw 1; }, 2);
    detail::run_finalizers(std::nullopt);
    CHECK(ran == 1);
    CHECK_THROWS_AS(Finalize(nullptr), std::invalid_argument);
}

TEST_CASE(
    "Finalize: a callback may register, cancel, call and destroy handles", "[finalize]"
) {
    std::string ran;
    std::optional<Finalize> self;
    std::optional<Finalize> other;
    std::optional<Finalize> late;
    other.emplace([&] { ran += "other"; }, 1);
    self.emplace(
        [&] {
            late.emplace([&] { ran += "late"; }, 7);
            other->cancel();
            self.reset();
            ran += "self";
        },
        2
    );
    detail::run_finalizers(std::nullopt);
    CHECK(ran == "self");  // `late` came after the sweep had begun
    CHECK(late->still_active());
    late.reset();
    CHECK(ran == "selflate");
}

TEST_CASE(
    "Finalize: destroying the handle waits for a run in another thread", "[finalize]"
) {
    std::promise<void> entered;
    std::promise<void> go_on;
    std::atomic<bool> finished = false;
    std::optional<Finalize> f;
    f.emplace([&] {
        entered.set_value();
        go_on.get_future().wait();
        finished = true;
    });
    std::thread running([&] { (*f)(); });
    entered.get_future().wait();
    std::thread releasing([&] { go_on.set_value(); });
    f->cancel();
    CHECK(finished);
    releasing.join();
    running.join();
}

TEST_CASE(
    "Finalize: in a forked child inherited ones do nothing, new ones work", "[finalize]"
) {
    std::string ran;
    std::optional<Finalize> plain;
    std::optional<Finalize> at_exit;
    plain.emplace([&] { ran += "plain"; });
    at_exit.emplace([&] { ran += "at_exit"; }, 0);
    const int status = test::run_in_fork([&] {
        if (plain->still_active() || at_exit->still_active() || (*plain)()) {
            return 1;
        }
        plain.reset();
        const Finalize own([&] { ran += "own"; }, 0);
        detail::run_finalizers(std::nullopt);
        at_exit.reset();
        return ran == "own" ? 0 : 2;
    });
    CHECK(status == 0);
    CHECK(plain->still_active());
    detail::run_finalizers(std::nullopt);
    CHECK(ran == "at_exit");
}

TEST_CASE("Finalize: those with a priority run when the process exits", "[finalize]") {
    auto [reader, writer] = os::make_pipe();
    const pid_t child = test::fork_child([fd = writer.get()]() -> int {
        const auto note = [fd](char c) {
            return [fd, c] {
                if (::write(fd, &c, 1) != 1) {
                    ::_exit(1);
                }
            };
        };
        detail::own_exit_of_forked_child();
        // Never destroyed, so that only the exit step can run them.
        static auto& all = *new std::vector<Finalize>;
        all.emplace_back(note('l'), -1);
        all.emplace_back(note('m'), 0);
        all.emplace_back(note('h'), 10);
        all.emplace_back(note('n'));
        std::exit(7);
    });
    writer.reset();
    std::string order;
    char c = 0;
    while (::read(reader.get(), &c, 1) == 1) {
        order.push_back(c);
    }
    CHECK(order == "hml");
    CHECK(test::exit_status(child) == 7);
}
