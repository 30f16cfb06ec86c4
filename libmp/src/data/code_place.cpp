// SPDX-License-Identifier: BSL-1.0
// Modules as a signal handler may look for them, and symbols out of files.
#include "data/code_place.hpp"

#include "mp/fd.hpp"

#include "data/module.hpp"
#include "os/new_fd.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace mp::detail {

namespace {

/// Read, not mapped: it may be cut short meanwhile.
class ElfFile {
public:
    /// Empty unless the file has that build-id.
    ElfFile(const char* path, std::string_view build_id) {
        // Whatever the path names: a FIFO without a writer is not waited for.
        UniqueFd fd = os::try_new_fd([path] {
            return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        });
        struct stat status {};
        if (fd && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) &&
            build_id_of_file(fd.get()) == build_id) {
            fd_ = std::move(fd);
        }
    }

    /// Empty if the file does not reach that far.
    std::string bytes(std::uint64_t offset, std::uint64_t size) const {
        std::string read;
        if (size <= most_bytes && offset <= most_offset) {
            read.resize(size);
            if (!read_at(offset, read.data(), read.size())) {
                read.clear();
            }
        }
        return read;
    }

    /// False if the file does not reach that far.
    template <class T>
    bool read(std::uint64_t offset, T& to) const {
        return offset <= most_offset && read_at(offset, &to, sizeof(T));
    }

private:
    // A table larger than that is none.
    static constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20U;
    static constexpr std::uint64_t most_offset = std::uint64_t{1} << 62U;

    bool read_at(std::uint64_t offset, void* to, std::size_t size) const {
        std::size_t filled = 0;
        while (fd_ && filled < size) {
            const ssize_t got = ::pread(
                fd_.get(),
                static_cast<char*>(to) + filled,
                size - filled,
                static_cast<off_t>(offset + filled)
            );
            if (got <= 0) {
                break;
            }
            filled += static_cast<std::size_t>(got);
        }
        return fd_ && filled == size;
    }

    UniqueFd fd_;
};

/// The function symbol of `table` that covers `address`.
std::string symbol_in(
    const ElfFile& file,
    const ElfW(Shdr) & table,
    const ElfW(Shdr) & strings,
    std::uint64_t address
) {
    const std::string symbols = file.bytes(table.sh_offset, table.sh_size);
    ElfW(Sym) symbol;
    for (std::size_t at = 0; at + sizeof symbol <= symbols.size();
         at += sizeof symbol) {
        std::memcpy(&symbol, symbols.data() + at, sizeof symbol);
        if ((symbol.st_info & 0xf) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            address - symbol.st_value < std::max<std::uint64_t>(symbol.st_size, 1)) {
            const std::string names = file.bytes(strings.sh_offset, strings.sh_size);
            if (symbol.st_name < names.size()) {
                return names.substr(symbol.st_name).c_str();
            }
        }
    }
    return {};
}

std::string
symbol_in_tables(const ElfFile& file, std::uint32_t kind, std::uint64_t address) {
    ElfW(Ehdr) header;
    if (!file.read(0, header)) {
        return {};
    }
    const auto section = [&](std::uint64_t index, ElfW(Shdr) & to) {
        return file.read(header.e_shoff + index * sizeof to, to);
    };
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        ElfW(Shdr) table;
        ElfW(Shdr) strings;
        if (section(i, table) && table.sh_type == kind &&
            section(table.sh_link, strings)) {
            return symbol_in(file, table, strings, address);
        }
    }
    return {};
}

/// What a module is mapped at, and what the loader knows of it.
struct Mapped {
    const link_map* map = nullptr;
    const char* begin = nullptr;
    const char* end = nullptr;
};

bool find_mapped(void* address, Mapped& found) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    dl_find_object object{};
    if (::_dl_find_object(address, &object) != 0) {
        return false;
    }
    found.map = object.dlfo_link_map;
    found.begin = static_cast<const char*>(object.dlfo_map_start);
    found.end = static_cast<const char*>(object.dlfo_map_end);
#else
    // A C library before 2.35: takes the loader's lock, as its backtrace() does.
    Dl_info symbol{};
    link_map* map = nullptr;
    if (::dladdr1(address, &symbol, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) ==
        0) {
        return false;
    }
    found.map = map;
    found.begin = static_cast<const char*>(symbol.dli_fbase);
    found.end = static_cast<const char*>(address);
#endif
    return found.map != nullptr;
}

}  // namespace

std::optional<LoadedCode> loaded_code_at(std::uintptr_t address) noexcept {
    Mapped found;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
    if (!find_mapped(reinterpret_cast<void*>(address), found)) {
        return std::nullopt;
    }
    LoadedCode code;
    code.base = found.map->l_addr;
    if (found.map->l_name != nullptr) {
        code.path = path_loaded_as(found.map->l_name);
    }
    const auto size = static_cast<std::size_t>(found.end - found.begin);
    code.build_id = build_id_in_memory({found.begin, size});
    return code;
}

std::string symbol_at(const CodePlace& place) {
    try {
        const ElfFile file(place.path.c_str(), place.build_id);
        auto name = symbol_in_tables(file, SHT_SYMTAB, place.offset);
        return !name.empty() ? name : symbol_in_tables(file, SHT_DYNSYM, place.offset);
    } catch (const std::bad_alloc&) {
        return {};  // the file may say that its tables are large
    }
}

}  // namespace mp::detail
