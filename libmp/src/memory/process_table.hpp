// SPDX-License-Identifier: BSL-1.0
// ProcessTable: which processes are alive, for words in shared memory that name their
// owner.
//
// A table in shared memory has an entry for each process of a family: of a process and
// those that it starts, as far as they share objects. A process holds the robust mutex
// of its entry as long as it lives; the kernel marks it when the process ends, however
// it ends, also by exec. An entry is used again with the next generation, so a word
// that says (generation, index) is never mistaken for a later process. See
// docs/protocols/process_table.md.
//
// Python:  none, because its semaphores do not know which process holds them.
// Threads: any.
// Processes: a forked child, by whatever kind of fork, is another process with an entry
//          of its own.
// Owns:    a mapping that stays to the end of the process: the kernel's walk over the
//          mutexes that a process holds ends at memory that is no longer mapped.
#pragma once

#include "mp/detail/shm.hpp"
#include "mp/fd.hpp"

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace mp::detail {

class ProcessTable {
public:
    /// The number of an entry (10 bits) and its generation (20 bits): one process.
    /// Never 0; the upper two bits are free for what else a word has to say.
    using Id = std::uint32_t;

    static constexpr unsigned index_bits = 10;
    static constexpr unsigned generation_bits = 20;
    static constexpr std::uint32_t capacity = 1U << index_bits;
    static constexpr Id id_mask = (1U << (index_bits + generation_bits)) - 1;

    /// Names a table for good, in any process.
    struct Name {
        std::uint64_t made_at = 0;
        std::uint64_t maker = 0;

        friend bool operator==(const Name&, const Name&) = default;
    };

    static constexpr std::uint32_t index_of(Id id) noexcept {
        return id & (capacity - 1);
    }

    static constexpr std::uint32_t generation_of(Id id) noexcept {
        return (id & id_mask) >> index_bits;
    }

    /// The table for what this process makes: that of its parent, if anything shared
    /// came from there, else one made at the first call. Throws what Segment throws.
    static ProcessTable& family();

    /// The table of that name, if this process has it.
    static ProcessTable* find(const Name& name) noexcept;

    /// Maps the table of another process; the family's, if this process has none yet.
    /// Throws SerializationError when the descriptor is no such table.
    static ProcessTable& attach(UniqueFd fd);

    /// The id of this process, for words that others read. Takes an entry at the first
    /// call: then throws ResourceLimitExceeded when all are in use, StateError in
    /// another pid namespace than that of the table. Otherwise one load.
    Id self() {
        // order: relaxed, because the number carries no other data with it.
        const Id id = local_->id.load(std::memory_order_relaxed);
        return id != 0 ? id : hold_entry();
    }

    /// How much is asked about a process that seems to live.
    enum class Look : std::uint8_t {
        quick,     ///< two loads
        thorough,  ///< and whether there is such a thread: for those that have waited
    };

    /// Has the process with that id ended? When it has died just now, waits up to 10 ms
    /// for its other threads to stop. A stopped process is alive, a zombie is not. What
    /// is no id of this table is a dead process's.
    bool dead(Id id, Look look = Look::quick) const noexcept;

    /// For walks over all entries: the id of the process that entry `index` is in use
    /// by now, or was in use by last; 0 if there was none.
    Id current(std::uint32_t index) const noexcept;

    const Name& name() const noexcept { return name_; }

    int fileno() const noexcept { return segment_.fileno(); }

    const Segment& segment() const noexcept { return segment_; }

    ProcessTable(const ProcessTable&) = delete;
    ProcessTable& operator=(const ProcessTable&) = delete;
    ~ProcessTable() = delete;

private:
    struct Entry;
    struct Table;
    struct Registry;

    /// What a process knows of its own entry, in memory that the kernel wipes at fork:
    /// a child reads zeros.
    struct Local {
        std::atomic<Id> id;  ///< while a thread of this process holds the entry's mutex
        Id entry;            ///< once taken
        pid_t holder;        ///< the thread that holds its mutex
    };

    static constexpr std::size_t max_tables = 64;

    ProcessTable(Segment segment, Local& local) noexcept;

    static Registry& registry();
    static std::array<Local, max_tables>& locals();
    static void thread_ends(void*) noexcept;

    Table& table() const noexcept;
    Id hold_entry();
    bool hold_again() noexcept;
    void take_entry();
    bool take(Entry& entry, std::uint32_t index) noexcept;
    bool any_damaged() const noexcept;
    std::uint32_t
    generation_after(std::uint32_t generation, std::uint32_t index) const noexcept;
    void let_go_at_thread_end() noexcept;

    Segment segment_;
    Local* local_;
    // As they were when this process got the table.
    Name name_;
    std::uint64_t pid_namespace_;
};

}  // namespace mp::detail
