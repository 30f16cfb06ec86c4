// SPDX-License-Identifier: BSL-1.0
#include "memory/process_table.hpp"

#include "mp/errors.hpp"
#include "mp/timeout.hpp"

#include "os/check.hpp"
#include "os/fork_lock.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/process_id.hpp"
#include "os/robust_mutex.hpp"
#include "os/wiped_memory.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>

namespace mp::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t table_magic = 0x3173'6576'696c'706dULL;  // "mplives1"

// The kernel marks the mutex of an entry when the thread that holds it ends. The other
// threads of a killed process run a little longer, until they notice that they were
// killed.
constexpr auto end_grace = 10ms;

constexpr std::uint32_t generation_mask = (1U << ProcessTable::generation_bits) - 1;

constexpr std::uint32_t next_generation(std::uint32_t generation) noexcept {
    const std::uint32_t next = (generation + 1) & generation_mask;
    return next == 0 ? 1 : next;
}

void wait_for_last_threads(const os::ProcessId& ended) noexcept {
    try {
        const UniqueFd process = os::pidfd_open(ended.pid);
        if (os::is_alive(ended)) {
            os::wait_readable(process.get(), Deadline(end_grace));
        }
    } catch (const std::system_error&) {
        // It is gone.
    }
}

}  // namespace

struct alignas(64) ProcessTable::Entry {
    pthread_mutex_t mutex;                  ///< held as long as the process lives
    std::atomic<std::uint32_t> generation;  ///< 0: never used
    // The process, for when no thread holds the mutex.
    std::atomic<pid_t> pid;
    std::atomic<std::uint64_t> start;

    os::ProcessId process() const noexcept {
        return {.pid = pid.load(), .start = start.load()};
    }
};

struct ProcessTable::Table {
    std::uint64_t magic;
    Name name;
    std::uint64_t pid_namespace;
    std::array<Entry, capacity> entries;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The tables that this process has. They are only added. The lock is held while an
// entry is taken, too: a child that is forked meanwhile finds it free.
struct ProcessTable::Registry {
    os::ForkLock lock;
    std::array<std::atomic<ProcessTable*>, max_tables> tables{};
    std::atomic<std::size_t> count{0};
    std::atomic<ProcessTable*> family{nullptr};
    pthread_key_t thread_end{};
    std::uint64_t made = 0;

    ProcessTable& add(Segment segment) {
        const std::size_t place = count.load();
        if (place == max_tables) {
            throw ResourceLimitExceeded(
                "this process shares objects with " + std::to_string(place) +
                " families of processes and has no room for another"
            );
        }
        auto* const processes =
            new ProcessTable(std::move(segment), locals().at(place));
        tables.at(place).store(processes);
        count.store(place + 1);
        return *processes;
    }
};

ProcessTable::Registry& ProcessTable::registry() {
    // Never destroyed: locks are used until the very end of a process.
    static auto& instance = *[] {
        auto* const made = new Registry;
        // Not a thread_local object: that would end at exit(), while handlers and
        // static destructors still use locks.
        const int error =
            ::pthread_key_create(&made->thread_end, &ProcessTable::thread_ends);
        if (error != 0) {
            os::throw_error(error, "pthread_key_create");
        }
        return made;
    }();
    return instance;
}

std::array<ProcessTable::Local, ProcessTable::max_tables>& ProcessTable::locals() {
    using Locals = std::array<Local, max_tables>;
    static auto& all = *new (os::memory_wiped_at_fork(sizeof(Locals))) Locals{};
    return all;
}

ProcessTable::ProcessTable(Segment segment, Local& local) noexcept
    : segment_(std::move(segment)),
      local_(&local),
      name_(table().name),
      pid_namespace_(table().pid_namespace) {}

ProcessTable::Table& ProcessTable::table() const noexcept {
    return *reinterpret_cast<Table*>(segment_.data());
}

// ----------------------------------------------------------------------------------
// tables

ProcessTable& ProcessTable::family() {
    Registry& all = registry();
    // order: acquire, pairs with the stores below, so that the table is seen whole.
    if (ProcessTable* const known = all.family.load(std::memory_order_acquire)) {
        return *known;
    }
    const os::ForkLockHeld held(all.lock);
    if (ProcessTable* const known = all.family.load()) {
        return *known;
    }
    Segment segment("mp-processes", sizeof(Table));
    auto& table = *new (segment.data()) Table{};
    for (Entry& entry : table.entries) {
        os::init_robust_mutex(entry.mutex, os::MutexKind::plain);
    }
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    table.name.made_at = static_cast<std::uint64_t>(now.count());
    table.pid_namespace = os::pid_namespace();
    table.name.maker =
        table.pid_namespace << 32U ^ static_cast<std::uint64_t>(::getpid());
    table.magic = table_magic;
    ProcessTable& processes = all.add(std::move(segment));
    all.family.store(&processes);
    return processes;
}

ProcessTable* ProcessTable::find(const Name& name) noexcept {
    Registry& all = registry();
    const std::size_t count = all.count.load();
    for (std::size_t i = 0; i < count; ++i) {
        ProcessTable* const processes = all.tables.at(i).load();
        if (processes->name() == name) {
            return processes;
        }
    }
    return nullptr;
}

ProcessTable& ProcessTable::attach(UniqueFd fd) {
    Segment segment(std::move(fd));
    const auto* const table = reinterpret_cast<const Table*>(segment.data());
    if (segment.size() < sizeof(Table) || table->magic != table_magic) {
        throw SerializationError(
            SerializationPhase::decode,
            "a descriptor that should be a table of processes is something else"
        );
    }
    const Name name = table->name;
    if (ProcessTable* const known = find(name)) {
        return *known;
    }
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    if (ProcessTable* const known = find(name)) {
        return *known;
    }
    ProcessTable& processes = all.add(std::move(segment));
    ProcessTable* none = nullptr;
    all.family.compare_exchange_strong(none, &processes);
    return processes;
}

// ----------------------------------------------------------------------------------
// this process

// Takes an entry, or goes on with the one of this process when the thread that held its
// mutex has ended.
ProcessTable::Id ProcessTable::hold_entry() {
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    if (const Id id = local_->id.load()) {
        return id;
    }
    if (local_->entry == 0 || current(index_of(local_->entry)) != local_->entry) {
        take_entry();
    } else if (!hold_again()) {
        // Another process tries this very mutex now, to see whether the entry is free.
        // It is ours all the same; the next call holds it.
        return local_->entry;
    }
    ::pthread_setspecific(all.thread_end, this);
    local_->holder = ::gettid();
    local_->id.store(local_->entry);
    return local_->entry;
}

/// The generation after that one. Each entry begins with one of its own: so a word that
/// was changed by a bit, or by one, names nobody that lives.
std::uint32_t ProcessTable::generation_after(
    std::uint32_t generation, std::uint32_t index
) const noexcept {
    if (generation != 0) {
        return next_generation(generation);
    }
    const std::uint64_t mixed =
        (name_.made_at ^ name_.maker ^ (index + 1)) * 0x9e37'79b9'7f4a'7c15ULL;
    return next_generation(static_cast<std::uint32_t>(mixed >> 40U) & generation_mask);
}

// Same entry, same generation, another thread. False when the mutex is locked.
bool ProcessTable::hold_again() noexcept {
    pthread_mutex_t& mutex = table().entries.at(index_of(local_->entry)).mutex;
    if (!os::is_intact(mutex, os::MutexKind::plain)) {
        return false;  // It was overwritten: nobody can hold it any more.
    }
    const int result = ::pthread_mutex_trylock(&mutex);
    if (result == EOWNERDEAD) {
        ::pthread_mutex_consistent(&mutex);
    }
    return result == 0 || result == EOWNERDEAD;
}

void ProcessTable::take_entry() {
    Table& all = table();
    if (pid_namespace_ != 0 && os::pid_namespace() != pid_namespace_) {
        throw StateError(
            "a shared object of another pid namespace: who holds it cannot be told here"
        );
    }
    for (std::uint32_t index = 0; index < capacity; ++index) {
        if (take(all.entries.at(index), index)) {
            return;
        }
    }
    if (any_damaged()) {
        throw DamagedError(
            "the table of the processes that share objects is damaged: a "
            "process has written over it"
        );
    }
    throw ResourceLimitExceeded(
        "more than " + std::to_string(capacity) +
        " processes use the same family of shared objects"
    );
}

bool ProcessTable::any_damaged() const noexcept {
    const auto& entries = table().entries;
    return std::any_of(entries.begin(), entries.end(), [](const Entry& entry) {
        return !os::is_intact(entry.mutex, os::MutexKind::plain);
    });
}

bool ProcessTable::take(Entry& entry, std::uint32_t index) noexcept {
    if (!os::is_intact(entry.mutex, os::MutexKind::plain)) {
        return false;  // It was overwritten.
    }
    std::uint32_t generation = entry.generation.load();
    const os::MutexState state = os::state_of(entry.mutex);
    if (state == os::MutexState::held ||
        (state == os::MutexState::free && os::is_alive(entry.process()))) {
        return false;
    }
    // From here on everything of the last user is a dead owner's, even if this process
    // is stopped or killed before it is done. A process that has taken the entry since
    // then has counted on, so this changes nothing for it.
    entry.generation.compare_exchange_strong(
        generation, generation_after(generation, index)
    );
    const int result = ::pthread_mutex_trylock(&entry.mutex);
    if (result == EOWNERDEAD) {
        ::pthread_mutex_consistent(&entry.mutex);
    } else if (result != 0) {
        return false;
    } else if (os::is_alive(entry.process())) {
        // Taken since we looked, by a process whose thread has ended in good order.
        ::pthread_mutex_unlock(&entry.mutex);
        return false;
    }
    generation = entry.generation.load();
    while (!entry.generation.compare_exchange_weak(
        generation, generation_after(generation, index)
    )) {
    }
    const os::ProcessId own = os::own_process_id();
    entry.start.store(own.start);
    entry.pid.store(own.pid);
    local_->entry = generation_after(generation, index) << index_bits | index;
    return true;
}

void ProcessTable::thread_ends(void*) noexcept {
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    const std::size_t count = all.count.load();
    for (std::size_t i = 0; i < count; ++i) {
        all.tables.at(i).load()->let_go_at_thread_end();
    }
}

void ProcessTable::let_go_at_thread_end() noexcept {
    if (local_->holder != ::gettid()) {
        return;
    }
    local_->id.store(0);
    local_->holder = 0;
    os::unlock_at_thread_end(
        table().entries.at(index_of(local_->entry)).mutex, os::MutexKind::plain
    );
}

// ----------------------------------------------------------------------------------
// others

bool ProcessTable::dead(Id id, Look look) const noexcept {
    if ((id & ~id_mask) != 0 || generation_of(id) == 0) [[unlikely]] {
        return true;  // No process has such an id.
    }
    const Entry& entry = table().entries.at(index_of(id));
    const std::uint32_t generation = generation_of(id);
    // order: acquire, pairs with the changes in take(), so that what the dead owner
    // protected is seen as it left it.
    if (entry.generation.load(std::memory_order_acquire) != generation) {
        return true;
    }
    switch (os::state_of(entry.mutex)) {
    case os::MutexState::owner_died:
        wait_for_last_threads(entry.process());
        return true;
    case os::MutexState::held:
        // The word of a mutex names the thread that holds it. If there is none, it was
        // overwritten, and the kernel could not mark it; the other words decide.
        if (look == Look::quick || os::exists(os::holder_of(entry.mutex))) {
            return entry.generation.load() != generation;
        }
        break;
    case os::MutexState::free:
        // The thread that held it has ended in good order.
        break;
    }
    return !os::is_alive(entry.process()) || entry.generation.load() != generation;
}

ProcessTable::Id ProcessTable::current(std::uint32_t index) const noexcept {
    const std::uint32_t generation = table().entries.at(index).generation.load();
    return generation == 0 ? 0 : generation << index_bits | index;
}

}  // namespace mp::detail
