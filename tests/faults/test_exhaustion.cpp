// SPDX-License-Identifier: BSL-1.0
// What happens when the system has no more to give: descriptors, processes, memory for
// a fork, mappings. An error that says so, nothing left behind, and all is well when
// there is room again.
#include "mp/mp.hpp"

#include "os/page.hpp"
#include "support/catch.hpp"
#include "support/deny_call.hpp"
#include "support/few_descriptors.hpp"
#include "support/fork_child.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <stddef.h>
#include <string>
#include <vector>

using namespace mp;
using test::open_descriptors;
using namespace std::chrono_literals;

namespace {

void do_nothing() {}

/// Whether `attempt` worked; if not, it failed for want of descriptors.
bool works(const std::function<void()>& attempt) {
    try {
        attempt();
        return true;
    } catch (const std::system_error& error) {
        CHECK(error.code().value() == EMFILE);
    } catch (const ProcessError& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring("Too many open files"));
    }
    return false;
}

/// With ever more free descriptors, until it works twice.
void with_few_descriptors(const std::function<void()>& attempt) {
    attempt();  // what is made once a process is made
    stop_helpers();
    const int before = open_descriptors();
    int worked = 0;
    for (int spare = 0; worked < 2; ++spare) {
        INFO(spare << " descriptors to spare");
        REQUIRE(spare < 40);
        {
            const test::FewDescriptors few(spare);
            worked += works(attempt) ? 1 : 0;
        }
        stop_helpers();
        CHECK(open_descriptors() == before);
    }
    attempt();
}

/// In this process and its children: a new process is not to be had. Threads are.
void refuse_processes() {
    const auto at = [](std::size_t place) {
        return static_cast<std::uint32_t>(place);
    };
    const auto load = [&](std::size_t place) {
        return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, at(place)};
    };
    const auto if_equal = [](long value, std::uint8_t then, std::uint8_t otherwise) {
        return sock_filter{
            BPF_JMP | BPF_JEQ | BPF_K,
            then,
            otherwise,
            static_cast<std::uint32_t>(value)};
    };
    const auto answer = [](std::uint32_t what) {
        return sock_filter{BPF_RET | BPF_K, 0, 0, what};
    };
    std::vector<sock_filter> program{load(offsetof(seccomp_data, nr))};
#ifdef SYS_fork
    program.push_back(if_equal(SYS_fork, 0, 1));
    program.push_back(answer(SECCOMP_RET_ERRNO | ENOMEM));
    program.push_back(if_equal(SYS_vfork, 0, 1));
    program.push_back(answer(SECCOMP_RET_ERRNO | ENOMEM));
#endif
    program.push_back(if_equal(SYS_clone3, 0, 1));
    program.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));  // then glibc takes clone
    program.push_back(if_equal(SYS_clone, 0, 3));
    program.push_back(load(offsetof(seccomp_data, args[0])));
    program.push_back(sock_filter{
        BPF_JMP | BPF_JSET | BPF_K, 1, 0, static_cast<std::uint32_t>(CLONE_THREAD)});
    program.push_back(answer(SECCOMP_RET_ERRNO | ENOMEM));
    program.push_back(answer(SECCOMP_RET_ALLOW));
    const sock_fprog filter{
        .len = static_cast<unsigned short>(program.size()), .filter = program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        throw std::system_error(errno, std::generic_category(), "seccomp");
    }
}

}  // namespace

// UBSan wants a pipe to look at an exception with.
TEST_CASE(
    "R1 R8: a process is started with few descriptors left", "[faults][no-asan]"
) {
    const Context context = each_start_method();
    with_few_descriptors([&] {
        auto process = context.Process(do_nothing);
        process.start();
        process.join();
        if (process.exitcode() != 0) {
            throw std::logic_error(
                "exit code " + std::to_string(process.exitcode().value())
            );
        }
    });
}

TEST_CASE(
    "R1 R8: what processes share is made with few descriptors left", "[faults][no-asan]"
) {
    SECTION("a Pipe") {
        with_few_descriptors([] {
            auto [a, b] = Pipe();
            a.send(1);
            CHECK(b.recv<int>() == 1);
        });
    }
    SECTION("a Queue") {
        with_few_descriptors([] {
            Queue<int> queue;
            queue.put(1);
            CHECK(queue.fileno() >= 0);
            CHECK(queue.get() == 1);
        });
    }
    SECTION("locks") {
        with_few_descriptors([] {
            Lock lock;
            Condition condition;
            Event event;
            Barrier barrier(1);
            lock.acquire();
            event.set();
            CHECK(barrier.wait() == 0);
        });
    }
    SECTION("shared memory") {
        with_few_descriptors([] {
            SharedMemory memory({.create = true, .size = 5000});
            memory.unlink();
            const Array<int> array(100'000);
            CHECK(array.size() == 100'000);
        });
    }
    SECTION("a Listener") {
        with_few_descriptors([] {
            connection::Listener listener({.authkey = "key"});
            CHECK_THROWS_AS(listener.accept(0s), mp::TimeoutError);
        });
    }
}

TEST_CASE("R2: no more processes are allowed", "[faults][no-asan][no-tsan]") {
    // The limit is a user's, and root has none: this one has no other processes.
    if (::geteuid() != 0) {
        WARN("left out: only root can become a user without processes");
        return;
    }
    const int status = test::run_in_fork([] {
        struct rlimit few {};
        few.rlim_cur = 3;
        few.rlim_max = 3;
        constexpr uid_t nobody_else = 61'234;
        if (::setrlimit(RLIMIT_NPROC, &few) != 0 || ::setuid(nobody_else) != 0) {
            return 1;
        }
        Process first({.start_method = StartMethod::fork}, [] {});
        first.start();  // what is made once a process is made
        first.join();
        Event go;
        const int before = open_descriptors();
        std::vector<Process> started;
        for (int round = 0; round < 2; ++round) {
            for (;;) {
                Process process({.start_method = StartMethod::fork}, [&] {
                    go.wait();
                });
                try {
                    process.start();
                } catch (const std::exception& error) {
                    if (std::strstr(error.what(), "Resource temporarily unavailable") ==
                        nullptr) {
                        return 2;
                    }
                    break;
                }
                started.push_back(std::move(process));
                if (started.size() > 3) {
                    return 3;
                }
            }
            if (started.empty()) {
                return 4;
            }
            go.set();
            for (auto& process : started) {
                process.join();
                if (process.exitcode() != 0) {
                    return 5;
                }
            }
            started.clear();
            go.clear();
        }
        return open_descriptors() == before ? 0 : 6;
    });
    CHECK(status == 0);
}

TEST_CASE("R3: no memory for another process", "[faults][no-asan][no-tsan]") {
    const Context context = each_start_method();
    const int status = test::run_in_fork([&] {
        refuse_processes();
        auto warm = Pipe();
        warm.first.close();
        warm.second.close();
        const auto attempt = [&] {
            auto process = context.Process(do_nothing);
            try {
                process.start();
            } catch (const std::exception& error) {
                return std::strstr(error.what(), "Cannot allocate memory") != nullptr;
            }
            return false;
        };
        if (!attempt()) {
            return 1;
        }
        const int before = open_descriptors();
        if (!attempt()) {
            return 2;
        }
        return open_descriptors() == before && active_children().empty() ? 0 : 3;
    });
    CHECK(status == 0);
}

TEST_CASE("R10: no memory for what a child is told", "[faults][no-asan][no-tsan]") {
    const Context context =
        get_context(GENERATE(StartMethod::spawn, StartMethod::forkserver));
    const int status = test::run_in_fork([&] {
        auto first = context.Process(do_nothing);
        first.start();  // what is made once a process is made
        first.join();
        const int before = open_descriptors();
        test::deny_call(SYS_sendmsg, ENOBUFS);
        for (int round = 0; round < 2; ++round) {
            auto process = context.Process(do_nothing);
            try {
                process.start();
                return 1;
            } catch (const SpawnError& error) {
                if (std::strstr(error.what(), "No buffer space") == nullptr) {
                    return 2;
                }
            }
        }
        // Fewer, where the fork server was given up.
        return open_descriptors() <= before && active_children().empty() ? 0 : 3;
    });
    CHECK(status == 0);
}

TEST_CASE("R7: no more mappings", "[faults][no-asan][no-tsan]") {
    constexpr int too_many = 77;
    const int status = test::run_in_fork([] {
        Queue<int> old;
        old.put(1);
        const int before = open_descriptors();
        // Neighbours that may be read and that may not are never merged.
        const std::size_t page = mp::os::page_size();
        const test::FileText most("/proc/sys/vm/max_map_count");
        const std::size_t pages = 2 * static_cast<std::size_t>(std::atol(most.text));
        if (pages == 0 || pages > 300'000) {
            return too_many;
        }
        void* const area = ::mmap(
            nullptr,
            pages * page,
            PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        );
        if (area == MAP_FAILED) {
            return 1;
        }
        for (std::size_t i = 1; i < pages; i += 2) {
            if (::mprotect(static_cast<char*>(area) + i * page, page, PROT_READ) != 0) {
                break;
            }
        }
        for (int i = 0; i < 1000; ++i) {
            const int access = i % 2 == 0 ? PROT_READ : PROT_NONE;
            if (::mmap(nullptr, page, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                MAP_FAILED) {
                break;
            }
        }
        int refused = 0;
        const auto attempt = [&](auto make) {
            try {
                make();
            } catch (const std::system_error& error) {
                refused += error.code().value() == ENOMEM ? 1 : 0;
            } catch (const ResourceLimitExceeded&) {
                ++refused;
            } catch (const std::bad_alloc&) {
                ++refused;
            }
        };
        attempt([] { const Queue<int> queue; });
        attempt([] {
            SharedMemory memory({.create = true, .size = 100'000});
            memory.unlink();
        });
        attempt([] { const RawArray<char> array(10'000'000); });
        if (refused != 3) {
            return 10 + refused;
        }
        old.put(2);
        if (old.get() != 1 || old.get() != 2) {
            return 2;
        }
        ::munmap(area, pages * page);
        if (open_descriptors() != before) {
            return 4;
        }
        Queue<int> now;
        now.put(3);
        if (now.get() != 3) {
            return 3;
        }
        return 0;
    });
    if (status == too_many) {
        WARN("left out: this system allows too many mappings to make them all");
        return;
    }
    CHECK(status == 0);
}

TEST_CASE("R1: no descriptors left when a process is joined", "[faults][no-asan]") {
    const Context context = each_start_method();
    for (int round = 0; round < 2; ++round) {
        auto process = context.Process(do_nothing);
        process.start();
        {
            const test::FewDescriptors none(0);
            process.join();
            CHECK(process.exitcode() == 0);
        }
    }
}
