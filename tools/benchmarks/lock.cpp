// SPDX-License-Identifier: BSL-1.0
// What a lock between processes costs, alone and with two processes that want it, and
// how long a dead holder's is missing.
#include "mp/mp.hpp"

#include "bench.hpp"

#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <time.h>
#include <utility>
#include <vector>

namespace bench {

namespace {

/// An object in memory that forked children share.
template <class T>
class Mapped {
public:
    Mapped()
        : memory_(::mmap(
              nullptr,
              sizeof(T),
              PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_ANONYMOUS,
              -1,
              0
          )) {
        if (memory_ == MAP_FAILED) {
            throw std::runtime_error("mmap");
        }
        object_ = new (memory_) T;
    }

    ~Mapped() {
        object_->~T();
        ::munmap(memory_, sizeof(T));
    }

    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    T& operator*() const { return *object_; }

private:
    void* memory_;
    T* object_;
};

class PthreadMutex {
public:
    explicit PthreadMutex(int robust) {
        pthread_mutexattr_t kind;
        ::pthread_mutexattr_init(&kind);
        ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&kind, robust);
        ::pthread_mutex_init(&mutex_, &kind);
        ::pthread_mutexattr_destroy(&kind);
    }

    void lock() { ::pthread_mutex_lock(&mutex_); }
    void unlock() { ::pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_;
};

struct RobustMutex : PthreadMutex {
    RobustMutex() : PthreadMutex(PTHREAD_MUTEX_ROBUST) {}
};

struct PlainMutex : PthreadMutex {
    PlainMutex() : PthreadMutex(PTHREAD_MUTEX_STALLED) {}
};

/// The least lock there is: free, held, held with sleepers.
class FutexMutex {
public:
    void lock() {
        std::uint32_t seen = 0;
        // order: acquire, pairs with unlock(): what the last holder wrote is seen.
        if (word_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) {
            return;
        }
        // order: acquire, as above.
        while (word_.exchange(2, std::memory_order_acquire) != 0) {
            ::syscall(SYS_futex, &word_, FUTEX_WAIT, 2, nullptr, nullptr, 0);
        }
    }

    void unlock() {
        // order: release, pairs with lock().
        if (word_.exchange(0, std::memory_order_release) == 2) {
            ::syscall(SYS_futex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
        }
    }

private:
    std::atomic<std::uint32_t> word_{0};
};

/// For the form that tells of a dead owner.
struct Acquire {
    mp::Lock mutex;

    void lock() { mutex.acquire(); }
    void unlock() { mutex.release(); }
};

constexpr int batch = 20'000;

template <class Lock>
void hammer(Lock& lock) {
    for (int i = 0; i < batch; ++i) {
        lock.lock();
        lock.unlock();
    }
}

template <class Lock>
double alone(int rounds, Lock& lock) {
    return seconds_of(rounds, [&] { hammer(lock); }) / batch * 1e9;
}

/// Nanoseconds for each acquisition while another process does the same.
template <class Lock>
double beside_another(int rounds, Lock& lock) {
    struct Signs {
        std::atomic<bool> stop{false};
        std::atomic<std::uint64_t> count{0};
    };

    const Mapped<Signs> signs;
    const pid_t child = ::fork();
    if (child == 0) {
        while (!(*signs).stop) {
            hammer(lock);
            // order: relaxed, a figure that nothing hangs on.
            (*signs).count.fetch_add(batch, std::memory_order_relaxed);
        }
        ::_exit(0);
    }
    double acquisitions = 0;
    const double seconds = [&] {
        hammer(lock);
        const std::uint64_t before = (*signs).count;
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < rounds; ++i) {
            hammer(lock);
        }
        const std::chrono::duration<double> took =
            std::chrono::steady_clock::now() - begin;
        acquisitions = static_cast<double>((*signs).count - before) +
                       static_cast<double>(rounds) * batch;
        return took.count();
    }();
    (*signs).stop = true;
    ::waitpid(child, nullptr, 0);
    return seconds / acquisitions * 1e9;
}

/// A child that holds the lock until it is killed.
class Holder {
public:
    explicit Holder(mp::Lock& lock) {
        mp::Event held;
        child_ = ::fork();
        if (child_ == 0) {
            lock.acquire();
            held.set();
            for (;;) {
                ::pause();
            }
        }
        held.wait();
    }

    ~Holder() {
        kill();
        ::waitpid(child_, nullptr, 0);
    }

    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

    void kill() const { ::kill(child_, SIGKILL); }

private:
    pid_t child_ = -1;
};

/// From the killing of the holder to the lock being ours.
double microseconds_after_death(int rounds) {
    mp::Lock lock;
    return seconds_of(
               rounds,
               [&] {
                   const Holder holder(lock);
                   holder.kill();
                   lock.acquire().owner_died();
                   lock.release();
               }
           ) *
           1e6;
}

/// Processor time that a second of waiting takes while the holder lives.
double microseconds_of_a_waiter(int rounds) {
    const auto processor_time = [] {
        timespec now{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) * 1e6 +
               static_cast<double>(now.tv_nsec) / 1e3;
    };
    mp::Lock lock;
    const Holder holder(lock);
    std::vector<double> all;
    for (int i = 0; i < rounds; ++i) {
        const double before = processor_time();
        lock.acquire(std::chrono::seconds(1));
        all.push_back(processor_time() - before);
    }
    return median(std::move(all));
}

}  // namespace

void bench_lock(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "lock");
    const int rounds = settings.quick ? 3 : 51;
    const std::string group = "lock and unlock";
    constexpr double least = 1 / 1.3;  // of the speed of a robust pthread mutex
    const Mapped<RobustMutex> robust;
    const Mapped<PlainMutex> plain;
    const Mapped<FutexMutex> futex;
    const Mapped<boost::interprocess::interprocess_mutex> boost;
    mp::Lock lock;
    Acquire acquire{lock};
    mp::RLock recursive;
    mp::Semaphore semaphore(1);
    mp::BoundedSemaphore pool(1);

    Row uncontended{
        group, "Lock, acquire()", Unit::nanoseconds, 0, {}, "robust", least};
    uncontended.ours = alone(rounds, acquire);
    uncontended.others = {
        {"robust", alone(rounds, *robust)},
        {"pthread", alone(rounds, *plain)},
        {"futex", alone(rounds, *futex)},
        {"Boost", alone(rounds, *boost)}};
    add_figure(uncontended, "CPython", python, "uncontended");
    const auto robust_alone = uncontended.others.front();
    table.add(std::move(uncontended));

    const auto beside_robust = [&](const std::string& name, auto& ours) {
        Row row{group, name, Unit::nanoseconds, 0, {}, "", {}};
        row.ours = alone(rounds, ours);
        row.others = {robust_alone};
        return row;
    };
    Row std_form = beside_robust("Lock, std::lock_guard", lock);
    std_form.rival = "robust";
    std_form.target = least;
    table.add(std::move(std_form));
    Row recursively = beside_robust("RLock", recursive);
    add_figure(recursively, "CPython", python, "recursive");
    table.add(std::move(recursively));
    Row signal = beside_robust("Semaphore", semaphore);
    add_figure(signal, "CPython", python, "semaphore");
    table.add(std::move(signal));
    table.add(beside_robust("BoundedSemaphore, tokens owned", pool));

    Row contended{
        group, "Lock, 2 processes at once", Unit::nanoseconds, 0, {}, "robust", 1};
    contended.ours = beside_another(rounds, acquire);
    contended.others = {
        {"robust", beside_another(rounds, *robust)},
        {"pthread", beside_another(rounds, *plain)},
        {"futex", beside_another(rounds, *futex)},
        {"Boost", beside_another(rounds, *boost)}};
    add_figure(contended, "CPython", python, "contended");
    table.add(std::move(contended));

    Row death{
        group,
        "holder killed, until the next has it",
        Unit::microseconds,
        0,
        {},
        "",
        {}};
    death.ours = microseconds_after_death(settings.quick ? 3 : 31);
    table.add(std::move(death));

    Row waiting{
        group,
        "CPU time of a waiter, each second",
        Unit::microseconds,
        microseconds_of_a_waiter(settings.quick ? 1 : 5),
        {{"0.5 %", 5000}},
        "0.5 %",
        1};
    table.add(std::move(waiting));
}

}  // namespace bench
