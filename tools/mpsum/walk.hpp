// SPDX-License-Identifier: BSL-1.0
// Walk: the files below the arguments, one by one.
// A directory is read when its turn comes, and holds its sorted names until it is
// done: memory grows with the depth and the widest directories, never with the tree.
// Threads: one.
#pragma once

#include "item.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace mpsum {

class Walk final : public Source {
public:
    /// Arguments keep their order. `-` is standard input. A link given as an argument
    /// is followed; on the way links are passed over in silence, and what is neither
    /// file, directory nor link gives a failure.
    explicit Walk(std::vector<std::string> paths);

    /// The next item. A directory that cannot be read is a failure item.
    std::optional<Item> next() override;

private:
    struct Child {
        std::string name;
        unsigned char type;  // DT_*
    };

    struct Level {
        std::string path;  // ends with '/'
        std::vector<Child> children;
        std::size_t next = 0;
    };

    std::optional<Item> argument(const std::string& path);
    std::optional<Item> child(const std::string& directory, const Child& child);
    std::optional<Item> descend(const std::string& path, int extra_flags);

    std::vector<std::string> paths_;
    std::size_t next_path_ = 0;
    std::vector<Level> levels_;
};

}  // namespace mpsum
