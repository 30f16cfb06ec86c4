// SPDX-License-Identifier: BSL-1.0
// BorrowerSet: who has a token, and who waits for one.
// Python:  none, because a set does there.
// Differs: one block of memory, which grows before anybody waits and stays: giving a
//          token, or taking it back, allocates nothing.
// Threads: one at a time.
#pragma once

#include "concurrency/borrower.hpp"

#include <cstddef>
#include <vector>

namespace concurrency::detail {

/// A hash table whose entries lie where their hash says or, if others are there, as
/// near behind as there was room.
class BorrowerSet {
public:
    struct Entry {
        Borrower borrower;  // nobody where there is no entry
        bool waits = false;
    };

    /// Throws std::bad_alloc.
    BorrowerSet() : table_(8) {}

    /// The entry, valid until the next call, or null.
    Entry* find(Borrower borrower) noexcept;

    /// Requires: it is not there. Throws std::bad_alloc, and has changed nothing then.
    void insert(Borrower borrower, bool waits);

    /// Requires: find() gave it.
    void erase(Entry& entry) noexcept;

    /// Those that do not wait.
    std::vector<Borrower> holders() const;

private:
    std::size_t home(Borrower borrower) const noexcept {
        return borrower.hash() & (table_.size() - 1);
    }

    std::size_t next(std::size_t place) const noexcept {
        return (place + 1) & (table_.size() - 1);
    }

    void put(const Entry& entry) noexcept;

    std::vector<Entry> table_;  // a power of two, a quarter of it free
    std::size_t count_ = 0;
};

}  // namespace concurrency::detail
