// SPDX-License-Identifier: BSL-1.0
// What a child leaves to its parent at its end, however it ends, and what it destroys
// itself: thread_local objects, static ones, exit handlers.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/read_all.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

// Writes a word to a descriptor when it is destroyed.
class Noted {
public:
    Noted() = default;

    ~Noted() {
        if (fd_ >= 0) {
            static_cast<void>(!::write(fd_, &word_, 1));
        }
    }

    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;

    void arm(int fd, char word) {
        fd_ = fd;
        word_ = word;
    }

private:
    int fd_ = -1;
    char word_ = '?';
};

thread_local Noted parents_thread_local;
thread_local Noted childs_thread_local;
int handler_fd = -1;

void note_handler() {
    static_cast<void>(!::write(handler_fd, "h", 1));
}

// What a program has when it starts a process.
void have_things(int fd) {
    static Noted object;
    object.arm(fd, 's');
    parents_thread_local.arm(fd, 't');
    handler_fd = fd;
    std::atexit(note_handler);
}

using End = void (*)();

void throw_error() {
    throw std::runtime_error("as the test wants it");
}

void throw_exit() {
    throw mp::SystemExit(1);
}

void call_exit() {
    std::exit(1);
}

void call_exit_in_thread() {
    std::thread([] { std::exit(1); }).join();
}

struct Pipe {
    Pipe() { REQUIRE(::pipe(ends.data()) == 0); }

    ~Pipe() {
        ::close(ends[0]);
        ::close(ends[1]);
    }

    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    std::string text() {
        ::close(ends[1]);
        ends[1] = ::dup(ends[0]);
        return test::read_all(ends[0]);
    }

    std::array<int, 2> ends{};
};

// Does not say on stderr what the test wants.
void be_quiet() {
    ::close(2);
    static_cast<void>(::dup(1));
}

}  // namespace

TEST_CASE(
    "a forked child runs nothing of its parent's at its end, however it ends",
    "[process]"
) {
    const End end = GENERATE(
        +[] {}, throw_error, throw_exit, call_exit, call_exit_in_thread
    );
    Pipe pipe;
    const int fd = pipe.ends[1];
    const int status = test::run_in_fork([&] {
        be_quiet();
        have_things(fd);
        mp::Process child({.start_method = mp::StartMethod::fork}, [&] { end(); });
        child.start();
        child.join();
        // Nested: the child's own child, too.
        mp::Process outer({.start_method = mp::StartMethod::fork}, [&] {
            mp::Process inner({.start_method = mp::StartMethod::fork}, [&] { end(); });
            inner.start();
            inner.join();
            throw mp::SystemExit(inner.exitcode().value());
        });
        outer.start();
        outer.join();
        return child.exitcode() == outer.exitcode() ? child.exitcode().value() : 77;
    });
    CHECK(pipe.text().empty());
    CHECK((status == 0 || status == 1));
}

TEST_CASE(
    "a child forked beside other threads runs nothing of its parent's, either",
    "[process][no-asan][no-tsan]"
) {
    const End end = GENERATE(
        +[] {}, throw_error, throw_exit, call_exit, call_exit_in_thread
    );
    Pipe pipe;
    const int fd = pipe.ends[1];
    const int status = test::run_in_fork([&] {
        be_quiet();
        have_things(fd);
        auto [word, teller] = mp::Pipe({.duplex = false});
        std::thread other([&, &word = word] { word.recv_bytes(); });
        mp::Process child({.start_method = mp::StartMethod::fork}, [&] { end(); });
        child.start();
        child.join();
        teller.send_bytes("end");
        other.join();
        return child.exitcode().value();
    });
    CHECK(pipe.text().empty());
    CHECK((status == 0 || status == 1));
}

TEST_CASE("pool workers run nothing of their parent's", "[process][no-asan][no-tsan]") {
    const mp::Context context = each_start_method();
    Pipe pipe;
    const int fd = pipe.ends[1];
    const int status = test::run_in_fork([&] {
        have_things(fd);
        {
            futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context}
            );
            if (pool.submit([] { return 5; }).result() != 5) {
                return 1;
            }
        }
        mp::stop_helpers();
        return 0;
    });
    CHECK(pipe.text().empty());
    CHECK(status == 0);
}

namespace {

void make_things(mp::Connection out) {
    // Kept to the end of the process.
    static const auto* const kept = new mp::Connection(out);
    static Noted object;
    object.arm(kept->fileno(), 's');
    childs_thread_local.arm(kept->fileno(), 't');
    handler_fd = kept->fileno();
    std::atexit(note_handler);
}

void make_things_and_exit(mp::Connection out) {
    make_things(std::move(out));
    std::exit(0);
}

}  // namespace

TEST_CASE("a child destroys what it made itself, as any program", "[process]") {
    const mp::Context context = each_start_method();
    const auto target = GENERATE(&make_things, &make_things_and_exit);
    auto [reader, writer] = mp::Pipe({.duplex = false});
    const int fd = reader.fileno();
    mp::Process child = context.Process(target, writer);
    child.start();
    writer.close();
    CHECK(test::read_all(fd) == "ths");
    child.join();
    CHECK(child.exitcode() == 0);
}
