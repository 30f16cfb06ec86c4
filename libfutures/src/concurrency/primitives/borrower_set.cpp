// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/borrower_set.hpp"

namespace concurrency::detail {

BorrowerSet::Entry* BorrowerSet::find(Borrower borrower) noexcept {
    for (std::size_t place = home(borrower);; place = next(place)) {
        Entry& entry = table_[place];
        if (entry.borrower.is_nobody()) {
            return nullptr;
        }
        if (entry.borrower == borrower) {
            return &entry;
        }
    }
}

void BorrowerSet::insert(Borrower borrower, bool waits) {
    if (count_ + 1 > table_.size() / 4 * 3) {
        std::vector<Entry> larger(table_.size() * 2);
        table_.swap(larger);
        for (const Entry& entry : larger) {
            if (!entry.borrower.is_nobody()) {
                put(entry);
            }
        }
    }
    put({borrower, waits});
    ++count_;
}

void BorrowerSet::put(const Entry& entry) noexcept {
    std::size_t place = home(entry.borrower);
    while (!table_[place].borrower.is_nobody()) {
        place = next(place);
    }
    table_[place] = entry;
}

void BorrowerSet::erase(Entry& entry) noexcept {
    std::size_t hole = static_cast<std::size_t>(&entry - table_.data());
    // Those behind it that may not be found any more, across the hole, move into it.
    for (std::size_t place = next(hole); !table_[place].borrower.is_nobody();
         place = next(place)) {
        const std::size_t wanted = home(table_[place].borrower);
        const std::size_t mask = table_.size() - 1;
        if (((place - wanted) & mask) >= ((place - hole) & mask)) {
            table_[hole] = table_[place];
            hole = place;
        }
    }
    table_[hole] = {};
    --count_;
}

std::vector<Borrower> BorrowerSet::holders() const {
    std::vector<Borrower> holders;
    for (const Entry& entry : table_) {
        if (!entry.borrower.is_nobody() && !entry.waits) {
            holders.push_back(entry.borrower);
        }
    }
    return holders;
}

}  // namespace concurrency::detail
