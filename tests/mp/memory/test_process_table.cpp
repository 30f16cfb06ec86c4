// SPDX-License-Identifier: BSL-1.0
// The table of processes: ids, deaths, and who is taken for whom.
#include "mp/detail/shared_block.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/process_id.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/reused_pid.hpp"
#include "support/soon.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <set>
#include <thread>
#include <vector>

using mp::detail::ProcessTable;
using mp::detail::SharedBlock;
using test::soon;

namespace {

using Word = std::atomic<std::uint32_t>;

ProcessTable& processes() {
    return ProcessTable::family();
}

// A word that a forked child can write its id into.
struct SharedWords {
    SharedBlock block = SharedBlock::allocate(64);

    Word& id() const { return block.as<std::array<Word, 2>>()[0]; }
};

// A forked child that has said who it is, and waits for its end.
struct Child {
    template <class Before>
    explicit Child(Before before)
        : pid(test::fork_child([&] {
              before();
              words.id() = processes().self();
              for (;;) {
                  ::pause();
              }
              return 0;
          })) {
        REQUIRE(soon([&] { return words.id() != 0; }));
    }

    Child() : Child([] {}) {}

    ProcessTable::Id id() const { return words.id(); }

    void end() const {
        ::kill(pid, SIGKILL);
        test::exit_status(pid);
    }

    SharedWords words;
    pid_t pid;
};

}  // namespace

TEST_CASE("ProcessTable: a process has one id, alive as long as it runs", "[lives]") {
    const ProcessTable::Id me = processes().self();
    CHECK(me != 0);
    CHECK((me & ~ProcessTable::id_mask) == 0);
    CHECK(processes().self() == me);
    CHECK_FALSE(processes().dead(me));
    std::async(std::launch::async, [&] { CHECK(processes().self() == me); }).get();
}

TEST_CASE("ProcessTable: a forked child is somebody else", "[lives]") {
    const ProcessTable::Id me = processes().self();
    const Child child;
    CHECK(child.id() != me);
    CHECK_FALSE(processes().dead(child.id()));
    CHECK_FALSE(processes().dead(me));
    child.end();
    CHECK(processes().dead(child.id()));
    CHECK_FALSE(processes().dead(me));
    // Its copy of our page did not make it us, nor its end ours.
    CHECK(processes().self() == me);
}

TEST_CASE("ProcessTable: a zombie is dead", "[lives]") {
    const Child child;
    ::kill(child.pid, SIGKILL);
    CHECK(soon([&] { return processes().dead(child.id()); }));
    test::exit_status(child.pid);
}

TEST_CASE("ProcessTable: a stopped process is alive", "[lives]") {
    const Child child;
    ::kill(child.pid, SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(child.pid, &status, WUNTRACED) == child.pid);
    CHECK_FALSE(processes().dead(child.id()));
    child.end();
    CHECK(processes().dead(child.id()));
}

TEST_CASE(
    "ProcessTable: a process that has become another program is dead", "[lives]"
) {
    SharedWords words;
    const pid_t pid = test::fork_child([&] {
        words.id() = processes().self();
        ::execlp("sleep", "sleep", "30", nullptr);
        return 1;
    });
    CHECK(soon([&] { return words.id() != 0 && processes().dead(words.id()); }));
    ::kill(pid, SIGKILL);
    test::exit_status(pid);
}

TEST_CASE("ProcessTable: an ordinary exit is an end, too", "[lives]") {
    SharedWords words;
    const int status = test::run_in_fork([&] {
        words.id() = processes().self();
        return 0;
    });
    CHECK(status == 0);
    CHECK(processes().dead(words.id()));
}

TEST_CASE(
    "ProcessTable: the end of the thread that registered is no death", "[lives]"
) {
    const Child child([] {
        std::thread([] { processes().self(); }).join();
        // The id is not held by any thread now; waiting, nobody asks for it again.
    });
    CHECK_FALSE(processes().dead(child.id()));
    child.end();
    CHECK(processes().dead(child.id()));
}

TEST_CASE(
    "ProcessTable: while no thread holds the life, its process is asked for", "[lives]"
) {
    SharedWords words;
    const pid_t pid = test::fork_child([&]() -> int {
        std::thread([&] { words.id() = processes().self(); }).join();
        words.block.as<std::array<Word, 2>>()[1] = 1;
        for (;;) {
            ::pause();
        }
    });
    REQUIRE(soon([&] { return words.block.as<std::array<Word, 2>>()[1] == 1; }));
    CHECK_FALSE(processes().dead(words.id()));
    // A process that looks for a free entry does not take it either.
    const Child other;
    CHECK(ProcessTable::index_of(other.id()) != ProcessTable::index_of(words.id()));
    other.end();
    ::kill(pid, SIGKILL);
    test::exit_status(pid);
    CHECK(processes().dead(words.id()));
}

TEST_CASE("ProcessTable: another thread goes on under the same id", "[lives]") {
    SharedWords words;
    const int status = test::run_in_fork([&] {
        ProcessTable::Id first = 0;
        std::thread([&] { first = processes().self(); }).join();
        ProcessTable::Id second = 0;
        std::thread([&] { second = processes().self(); }).join();
        return first == second && processes().self() == first ? 0 : 1;
    });
    CHECK(status == 0);
}

TEST_CASE("ProcessTable: an entry is used again with the next generation", "[lives]") {
    const Child first;
    first.end();
    const Child second;
    CHECK(ProcessTable::index_of(second.id()) == ProcessTable::index_of(first.id()));
    CHECK(second.id() != first.id());
    CHECK(processes().dead(first.id()));
    CHECK_FALSE(processes().dead(second.id()));
    CHECK(processes().current(ProcessTable::index_of(first.id())) == second.id());
    second.end();
    CHECK(processes().dead(second.id()));
}

TEST_CASE(
    "ProcessTable: many processes that register at once have different ids", "[lives]"
) {
    constexpr std::size_t count = 40;
    const SharedBlock block = SharedBlock::allocate((count + 1) * sizeof(Word));
    auto* const ids = reinterpret_cast<Word*>(block.data());
    Word& go = ids[count];
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < count; ++i) {
        children.push_back(test::fork_child([&, i]() -> int {
            while (go == 0) {
                std::this_thread::yield();
            }
            ids[i] = processes().self();
            for (;;) {
                ::pause();
            }
        }));
    }
    go = 1;
    std::set<std::uint32_t> different;
    for (std::size_t i = 0; i < count; ++i) {
        CHECK(soon([&] { return ids[i] != 0; }));
        different.insert(ids[i]);
        CHECK_FALSE(processes().dead(ids[i]));
    }
    CHECK(different.size() == count);
    for (const pid_t child : children) {
        ::kill(child, SIGKILL);
    }
    for (const pid_t child : children) {
        test::exit_status(child);
    }
    for (std::size_t i = 0; i < count; ++i) {
        CHECK(processes().dead(ids[i]));
    }
}

TEST_CASE("ProcessTable: a reused pid is not taken for the dead process", "[lives]") {
    const Child child;
    child.end();
    const test::ReusedPid other(child.pid);
    if (!other.is_permitted()) {
        WARN("skipped: this process may not choose the pid of another");
        return;
    }
    CHECK(processes().dead(child.id()));
}

TEST_CASE("ProcessTable: another pid namespace is refused", "[lives]") {
    constexpr int not_allowed = 77;
    const int status = test::run_in_fork([&] {
        if (::unshare(CLONE_NEWPID) != 0) {
            return not_allowed;
        }
        return test::run_in_fork([&] {
            try {
                processes().self();
            } catch (const mp::StateError&) {
                return 0;
            }
            return 1;
        });
    });
    if (status == not_allowed) {
        WARN("skipped: no right to make a pid namespace");
    } else {
        CHECK(status == 0);
    }
}

TEST_CASE("ProcessTable: a table is attached once", "[lives]") {
    ProcessTable& again =
        ProcessTable::attach(mp::UniqueFd::duplicate_of(processes().fileno()));
    CHECK(&again == &processes());
    CHECK(ProcessTable::find(processes().name()) == &processes());
    CHECK(ProcessTable::find({}) == nullptr);
}

TEST_CASE("ProcessTable: what is no table is refused", "[lives]") {
    mp::UniqueFd small(::memfd_create("small", MFD_CLOEXEC));
    REQUIRE(::ftruncate(small.get(), 64) == 0);
    CHECK_THROWS_AS(ProcessTable::attach(std::move(small)), mp::SerializationError);
    mp::UniqueFd empty(::memfd_create("zeros", MFD_CLOEXEC));
    REQUIRE(::ftruncate(empty.get(), 1 << 20) == 0);
    CHECK_THROWS_AS(ProcessTable::attach(std::move(empty)), mp::SerializationError);
}

TEST_CASE("ProcessId: a zombie is not alive, its parent is", "[lives]") {
    CHECK(mp::os::is_alive(mp::os::own_process_id()));
    CHECK_FALSE(mp::os::is_alive({.pid = ::getpid(), .start = 1}));
    CHECK_FALSE(mp::os::is_alive({}));
    const Child child;
    ::kill(child.pid, SIGKILL);
    siginfo_t info{};
    REQUIRE(
        ::waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT) == 0
    );
    mp::os::ProcessId of_child = mp::os::own_process_id();
    of_child.pid = child.pid;
    CHECK_FALSE(mp::os::is_alive(of_child));
    test::exit_status(child.pid);
}
