// SPDX-License-Identifier: BSL-1.0
// A process writes over the mutexes that the kernel marks at a death: those of the
// table of processes and that of a heap. glibc keeps links in them; none of them is
// followed.
#include "mp/context.hpp"
#include "mp/detail/heap_mutex.hpp"
#include "mp/errors.hpp"
#include "mp/lock.hpp"

#include "faults/damage.hpp"
#include "faults/scribbling.hpp"
#include "memory/process_table.hpp"
#include "os/robust_mutex.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <new>
#include <thread>

using namespace std::chrono_literals;
using mp::detail::ProcessTable;
using mp::detail::SharedBlock;
using test::fine;
using test::outcome_of;
using test::told;
using test::values;
using test::words_of;
using test::wrong;

TEST_CASE(
    "SharedHeap: its lock overwritten while it is held or free", "[faults][shared_heap]"
) {
    using mp::detail::HeapMutex;
    for (std::size_t i = 0; i < sizeof(HeapMutex) / 8; ++i) {
        for (const std::uint64_t value : values) {
            for (const int depth : {0, 1, 2}) {
                if (i == 0 && depth == 0) {
                    continue;  // It says that a thread holds it, for which others wait.
                }
                INFO("word " << i << " is " << value << ", depth " << depth);
                const int outcome = outcome_of([&]() -> int {
                    const auto block = SharedBlock::allocate(sizeof(HeapMutex));
                    const auto other_block = SharedBlock::allocate(sizeof(HeapMutex));
                    auto& mutex = *new (block.data()) HeapMutex;
                    auto& other_mutex = *new (other_block.data()) HeapMutex;
                    for (int n = 0; n < depth; ++n) {
                        mutex.lock();
                    }
                    words_of(&mutex, sizeof mutex)[i] = value;
                    for (int n = 0; n < depth; ++n) {
                        mutex.unlock();
                    }
                    // The thread's list of locks is whole.
                    other_mutex.lock();
                    other_mutex.unlock();
                    mutex.lock();
                    mutex.unlock();
                    other_mutex.lock();
                    other_mutex.unlock();
                    return fine;
                });
                CHECK((outcome == fine || outcome == told));
            }
        }
    }
}

namespace {

/// In a program of its own, which has a table of its own.
void overwrite_table(int value) {
    mp::Lock lock;
    std::thread([&] {
        // The first one of this process: it holds the entry's mutex.
        ProcessTable::family().self();
        for (const auto words : test::shared_words("mp-processes")) {
            std::memset(
                const_cast<std::uint64_t*>(words.data()), value, words.size() * 8
            );
        }
    }).join();
    int outcome = fine;
    try {
        if (lock.acquire(5s)) {
            lock.release();
        } else {
            outcome = wrong;
        }
    } catch (const mp::DamagedError&) {
        outcome = told;
    }
    throw mp::SystemExit(outcome);
}

}  // namespace

TEST_CASE(
    "ProcessTable: overwritten as a whole, threads end and others begin",
    "[faults][lives]"
) {
    for (const int value : {0x00, 0xff, 0x5a}) {
        INFO("all bytes are " << value);
        auto process =
            mp::get_context(mp::StartMethod::spawn).Process(overwrite_table, value);
        process.start();
        CHECK(process.join(test::patience(1s)));
        // A free lock is taken without the table, if the process has its number
        // already.
        const int outcome = process.exitcode().value_or(-1);
        CHECK((outcome == told || outcome == fine));
    }
}

TEST_CASE(
    "Robust mutex: given back at the end of its thread, it leaves the thread's list",
    "[faults][lives]"
) {
    pthread_mutex_t mutex{};
    mp::os::init_robust_mutex(mutex, mp::os::MutexKind::plain);
    std::thread([&] {
        robust_list_head* head = nullptr;
        std::size_t length = 0;
        REQUIRE(::syscall(SYS_get_robust_list, 0, &head, &length) == 0);
        REQUIRE(::pthread_mutex_lock(&mutex) == 0);
        CHECK(head->list.next != &head->list);
        mp::os::unlock_at_thread_end(mutex, mp::os::MutexKind::plain);
        CHECK(head->list.next == &head->list);
        CHECK(mp::os::state_of(mutex) == mp::os::MutexState::free);
    }).join();
}
