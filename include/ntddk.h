/* ntddk.h: drivers include it in front of storport.h; everything is in wdm.h. */
#ifndef LOCKSTORM_NTDDK_H
#define LOCKSTORM_NTDDK_H
#include "wdm.h"
#endif
