// SPDX-License-Identifier: BSL-1.0
// List: a ShareableList whose name goes with it.
#pragma once

#include "mp/shareable_list.hpp"

#include <initializer_list>

namespace test {

struct List : mp::ShareableList {
    using ShareableList::ShareableList;

    List(std::initializer_list<mp::ShareableItem> items) : ShareableList(items) {}

    ~List() {
        if (shm()) {
            shm().unlink();
        }
    }

    List(const List&) = delete;
    List& operator=(const List&) = delete;
};

}  // namespace test
