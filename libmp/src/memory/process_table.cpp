// SPDX-License-Identifier: BSL-1.0
#include "memory/process_table.hpp"

#include "mp/errors.hpp"
#include "mp/timeout.hpp"

#include "os/check.hpp"
#include "os/fork_lock.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/process_id.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <string>
#include <system_error>

namespace mp::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t magic = 0x3173'6576'696c'706dULL;  // "mplives1"

// The kernel marks the life when the thread that held it ends; its other threads have a
// moment more, until they notice that they were killed.
constexpr auto last_moment = 10ms;

constexpr std::uint32_t next_generation(std::uint32_t generation) noexcept {
    constexpr std::uint32_t mask = (1U << Lives::generation_bits) - 1;
    const std::uint32_t next = (generation + 1) & mask;
    return next == 0 ? 1 : next;
}

// Two members of a union of glibc's: the word that the kernel marks.
std::uint32_t futex_word(const pthread_mutex_t& mutex) noexcept {
    // order: acquire, pairs with the unlock in Lives::take() and leave_thread(), so
    // that what was written before is seen.
    return static_cast<std::uint32_t>(
        __atomic_load_n(&mutex.__data.__lock, __ATOMIC_ACQUIRE)
    );
}

void make_robust(pthread_mutex_t& mutex) {
    pthread_mutexattr_t kind;
    ::pthread_mutexattr_init(&kind);
    ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    const int error = ::pthread_mutex_init(&mutex, &kind);
    ::pthread_mutexattr_destroy(&kind);
    if (error != 0) {
        os::throw_error(error, "pthread_mutex_init");
    }
}

void wait_for_last_threads(const os::Birth& birth) noexcept {
    try {
        const UniqueFd process = os::pidfd_open(birth.pid);
        if (os::is_alive(birth)) {
            os::wait_readable(process.get(), Deadline(last_moment));
        }
    } catch (const std::system_error&) {
        // It is gone.
    }
}

}  // namespace

struct alignas(64) Lives::Life {
    pthread_mutex_t mutex;
    std::atomic<std::uint32_t> generation;
    std::atomic<pid_t> pid;
    std::atomic<std::uint64_t> start;

    os::Birth birth() const noexcept {
        return {.pid = pid.load(), .start = start.load()};
    }
};

struct Lives::Table {
    std::uint64_t magic;
    Name name;
    std::uint64_t pid_namespace;
    std::array<Life, capacity> lives;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Tables are only added. The lock is held while an entry is taken, too: a child that is
// forked meanwhile finds it free.
struct Lives::Registry {
    os::ForkLock lock;
    std::array<std::atomic<Lives*>, most_tables> tables{};
    std::atomic<std::size_t> count{0};
    std::atomic<Lives*> family{nullptr};
    pthread_key_t thread_end{};
    std::uint64_t made = 0;

    Lives& add(Segment segment) {
        const std::size_t place = count.load();
        if (place == most_tables) {
            throw ResourceLimitExceeded(
                "this process shares objects with " + std::to_string(place) +
                " families of processes and has no room for another"
            );
        }
        auto* const lives = new Lives(std::move(segment), local_page().at(place));
        tables.at(place).store(lives);
        count.store(place + 1);
        return *lives;
    }
};

Lives::Registry& Lives::registry() {
    // Never destroyed: locks are used until the very end of a process.
    static auto& instance = *[] {
        auto* const made = new Registry;
        // Not a thread_local object: that would end at exit(), while handlers and
        // static destructors still use locks.
        const int error = ::pthread_key_create(&made->thread_end, &Lives::thread_ends);
        if (error != 0) {
            os::throw_error(error, "pthread_key_create");
        }
        return made;
    }();
    return instance;
}

std::array<Lives::Local, Lives::most_tables>& Lives::local_page() {
    using Page = std::array<Local, most_tables>;
    static auto& page = *[] {
        void* const memory = ::mmap(
            nullptr,
            sizeof(Page),
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            -1,
            0
        );
        if (memory == MAP_FAILED) {
            os::throw_last_error("mmap");
        }
        os::check(
            ::madvise(memory, sizeof(Page), MADV_WIPEONFORK), "madvise(MADV_WIPEONFORK)"
        );
        return new (memory) Page{};
    }();
    return page;
}

Lives::Lives(Segment segment, Local& local) noexcept
    : segment_(std::move(segment)), local_(&local) {}

Lives::Table& Lives::table() const noexcept {
    return *reinterpret_cast<Table*>(segment_.data());
}

const Lives::Name& Lives::name() const noexcept {
    return table().name;
}

// ----------------------------------------------------------------------------------
// tables

Lives& Lives::family() {
    Registry& all = registry();
    // order: acquire, pairs with the stores below, so that the table is seen whole.
    if (Lives* const known = all.family.load(std::memory_order_acquire)) {
        return *known;
    }
    const os::ForkLockHeld held(all.lock);
    if (Lives* const known = all.family.load()) {
        return *known;
    }
    Segment segment("mp-lives", sizeof(Table));
    auto& table = *new (segment.data()) Table{};
    for (Life& life : table.lives) {
        make_robust(life.mutex);
    }
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    table.name.moment = static_cast<std::uint64_t>(now.count());
    table.pid_namespace = os::pid_namespace();
    table.name.maker =
        table.pid_namespace << 32U ^ static_cast<std::uint64_t>(::getpid());
    table.magic = magic;
    Lives& lives = all.add(std::move(segment));
    all.family.store(&lives);
    return lives;
}

Lives* Lives::find(const Name& name) noexcept {
    Registry& all = registry();
    const std::size_t count = all.count.load();
    for (std::size_t i = 0; i < count; ++i) {
        Lives* const lives = all.tables.at(i).load();
        if (lives->name() == name) {
            return lives;
        }
    }
    return nullptr;
}

Lives& Lives::attach(UniqueFd fd) {
    Segment segment(std::move(fd));
    const auto* const table = reinterpret_cast<const Table*>(segment.data());
    if (segment.size() < sizeof(Table) || table->magic != magic) {
        throw SerializationError(
            SerializationPhase::decode,
            "a descriptor that should be a table of processes is something else"
        );
    }
    if (Lives* const known = find(table->name)) {
        return *known;
    }
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    if (Lives* const known = find(table->name)) {
        return *known;
    }
    Lives& lives = all.add(std::move(segment));
    Lives* none = nullptr;
    all.family.compare_exchange_strong(none, &lives);
    return lives;
}

// ----------------------------------------------------------------------------------
// this process

Lives::Id Lives::enter() {
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    if (const Id id = local_->id.load()) {
        return id;
    }
    if (local_->entry == 0 || current(index_of(local_->entry)) != local_->entry) {
        take_entry();
    } else if (!hold_again()) {
        // Somebody looks at the entry this very moment. It is ours all the same; the
        // next call holds it.
        return local_->entry;
    }
    ::pthread_setspecific(all.thread_end, this);
    local_->holder = ::gettid();
    local_->id.store(local_->entry);
    return local_->entry;
}

// The thread that held the life has ended: same entry, same generation, another holder.
bool Lives::hold_again() noexcept {
    pthread_mutex_t& mutex = table().lives.at(index_of(local_->entry)).mutex;
    const int result = ::pthread_mutex_trylock(&mutex);
    if (result == EOWNERDEAD) {
        ::pthread_mutex_consistent(&mutex);
    }
    return result == 0 || result == EOWNERDEAD;
}

void Lives::take_entry() {
    Table& all = table();
    if (all.pid_namespace != 0 && os::pid_namespace() != all.pid_namespace) {
        throw StateError(
            "a shared object of another pid namespace: who holds it cannot be told here"
        );
    }
    for (std::uint32_t index = 0; index < capacity; ++index) {
        if (take(all.lives.at(index), index)) {
            return;
        }
    }
    throw ResourceLimitExceeded(
        "more than " + std::to_string(capacity) +
        " processes use the same family of shared objects"
    );
}

bool Lives::take(Life& life, std::uint32_t index) noexcept {
    std::uint32_t generation = life.generation.load();
    const std::uint32_t word = futex_word(life.mutex);
    const bool died = (word & FUTEX_OWNER_DIED) != 0;
    if (!died && ((word & FUTEX_TID_MASK) != 0 || os::is_alive(life.birth()))) {
        return false;
    }
    // From here on everything of the last user is a dead owner's, even if this process
    // is stopped or killed before it is done. Whoever has taken the entry since then
    // has counted on, so this changes nothing for them.
    life.generation.compare_exchange_strong(generation, next_generation(generation));
    const int result = ::pthread_mutex_trylock(&life.mutex);
    if (result == EOWNERDEAD) {
        ::pthread_mutex_consistent(&life.mutex);
    } else if (result != 0) {
        return false;
    } else if (os::is_alive(life.birth())) {
        // Taken since we looked, and the thread that did it has ended in good order.
        ::pthread_mutex_unlock(&life.mutex);
        return false;
    }
    generation = life.generation.load();
    while (
        !life.generation.compare_exchange_weak(generation, next_generation(generation))
    ) {
    }
    const os::Birth own = os::own_birth();
    life.start.store(own.start);
    life.pid.store(own.pid);
    local_->entry = next_generation(generation) << index_bits | index;
    return true;
}

void Lives::thread_ends(void*) noexcept {
    Registry& all = registry();
    const os::ForkLockHeld held(all.lock);
    const std::size_t count = all.count.load();
    for (std::size_t i = 0; i < count; ++i) {
        all.tables.at(i).load()->leave_thread();
    }
}

void Lives::leave_thread() noexcept {
    if (local_->holder != ::gettid()) {
        return;
    }
    local_->id.store(0);
    local_->holder = 0;
    ::pthread_mutex_unlock(&table().lives.at(index_of(local_->entry)).mutex);
}

// ----------------------------------------------------------------------------------
// others

bool Lives::dead(Id id) const noexcept {
    const Life& life = table().lives.at(index_of(id));
    const std::uint32_t generation = generation_of(id);
    // order: acquire, pairs with the changes in take(), so that what the dead owner
    // protected is seen as it left it.
    if (life.generation.load(std::memory_order_acquire) != generation) {
        return true;
    }
    const std::uint32_t word = futex_word(life.mutex);
    if ((word & FUTEX_OWNER_DIED) != 0) {
        wait_for_last_threads(life.birth());
        return true;
    }
    if ((word & FUTEX_TID_MASK) != 0) {
        return life.generation.load() != generation;
    }
    // Nobody holds the life: the thread that did has ended in good order.
    return !os::is_alive(life.birth()) || life.generation.load() != generation;
}

Lives::Id Lives::current(std::uint32_t index) const noexcept {
    const std::uint32_t generation = table().lives.at(index).generation.load();
    return generation == 0 ? 0 : generation << index_bits | index;
}

}  // namespace mp::detail
