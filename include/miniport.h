/* miniport.h: drivers include it in front of storport.h; everything is in wdm.h. */
#ifndef LOCKSTORM_MINIPORT_H
#define LOCKSTORM_MINIPORT_H
#include "wdm.h"
#endif
